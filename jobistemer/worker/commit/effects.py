"""The effects of an end: what goes to the server together with it, and what follows once it is on record."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from jobistemer.core.errors import JobistemerError, NotConnected, ServerRefused
from jobistemer.core.jobs.job import Job
from jobistemer.core.runs.message import Delivery, TaskRef
from jobistemer.core.runs.settle import SUCCEEDED, FinalState, Suspension, describe_settlement, must_undo
from jobistemer.core.runs.transaction import Transaction
from jobistemer.core.states import RunState
from jobistemer.runtime.log_limit import log_limited
from jobistemer.runtime.logging import log_failure
from jobistemer.store.actions import cancel
from jobistemer.store.calls import groups, limits, run_ends, transactions
from jobistemer.store.calls.ended_attempt import EndedAttempt
from jobistemer.store.database import Database
from jobistemer.store.scripts import Reply, ScriptCall
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.attempts.definition_cache import DefinitionCache
from jobistemer.worker.attempts.metrics import ThreadMetrics
from jobistemer.worker.attempts.run_logger import log_extra, log_facts
from jobistemer.worker.commit.hook_notifier import HookNotifier

log = logging.getLogger("jobistemer.worker")


class CommitEffects:
    """The work that follows an end that is on record, for one thread that records ends.

    A worker that dies before it is done leaves nothing wrong: hooks are called and ends counted at most once, and a run
    that is not canceled here meets the mark of its group or occurrence when its time comes.
    """

    def __init__(
        self,
        definitions: DefinitionCache,
        hook_notifier: HookNotifier | None = None,
        metrics: ThreadMetrics | None = None,
    ) -> None:
        self.definitions = definitions
        self._hook_notifier = hook_notifier
        self._metrics = metrics
        # Asked once for each bundle, so that a hundred successes cost nothing where nothing looks at them.
        self.has_observers = hook_notifier is not None or metrics is not None

    def build_call(self, attempt: Attempt, ended: EndedAttempt) -> ScriptCall:
        """Build the call that records an end by itself, with what goes with it. Raises JobistemerError."""
        database, message, ending = attempt.database, ended.delivery.message, ended.ending
        if not isinstance(ending, FinalState):
            return run_ends.record_end(database.keys, ended, None)
        fails = ending.state is not RunState.SUCCEEDED
        if fails and ended.delivery.attempt and attempt.handler.context_parameter is not None:
            # Attempts before this one may have mapped; what they have made ends with the run.
            (made,) = groups.count_groups(database, [message.run])
            ended = attempt.ended_attempt = ended._replace(groups_made=max(made, ended.groups_made))
        job = self.definitions.find(database, message.task_ref)
        return _add_transaction(attempt, ended, run_ends.record_end(database.keys, ended, job))

    def report_successes(self, bundle: list[tuple[Attempt, EndedAttempt]]) -> None:
        """Count plain successes that are on record, and queue them for hooks; nothing else follows from them."""
        if self._metrics is not None:
            self._metrics.count_successes([attempt for attempt, _ in bundle])
        if self._hook_notifier is not None:
            for _, ended in bundle:
                self._hook_notifier.notify(ended)

    def after_commit(self, database: Database, ended: EndedAttempt, reply: Reply, attempt: Attempt | None) -> None:
        """Do what follows from an end that is on record. attempt: None for one that another worker began.

        Raises NotConnected: then the end is reported, and `follow` may be called again.
        """
        # First what asks no server: should it be away, the rest is an acceleration only.
        self.report(ended, attempt)
        self.follow(database, ended, reply)

    def report(self, ended: EndedAttempt, attempt: Attempt | None) -> None:
        """Log and count an end that is on record, and queue it for hooks; to be called once."""
        if _goes_on(ended):
            return
        if attempt is not None and ended.outcome.error:
            _log_error(ended)
        if self._metrics is not None:
            self._metrics.count(ended, attempt)
        if self._hook_notifier is not None:
            self._hook_notifier.notify(ended)
            transaction = _find_transaction(attempt, ended) if attempt is not None else None
            for message, _ in transaction.follow_ups if transaction is not None else ():
                self._hook_notifier.notify(message)

    def follow(self, database: Database, ended: EndedAttempt, reply: Reply) -> None:
        """Cancel and expire what an end that is on record leaves behind. Raises NotConnected."""
        if _goes_on(ended):
            return
        try:
            self._clear_up(database, ended, reply)
        except NotConnected:
            raise
        except JobistemerError as error:
            # The end is on record, and what is left behind meets its marks on the server when its time comes.
            text, message = "%s of %s has ended, but not all that follows from it was done: %s", ended.delivery.message
            log_limited(log, logging.WARNING, f"follow {error}", text, message.run, message.handler, error)

    def _clear_up(self, database: Database, ended: EndedAttempt, reply: Reply) -> None:
        slot = ended.delivery.message.task_ref
        if slot is not None and isinstance(ended.ending, FinalState) and ended.ending.verdict:
            job = self.definitions.find(database, slot)
            if job is not None:
                cancel.cancel_siblings(database, job, slot)
        if reply.extensions:
            self._follow_extensions(database, ended, {each.word for each in reply.extensions})

    def _follow_extensions(self, database: Database, ended: EndedAttempt, words: set[str]) -> None:
        # The scripts leave marks and end in a bounded time; walking through all members of a group is done here.
        message = ended.delivery.message
        if "HALTED" in words:
            cancel.cancel_children(database, message.run, ended.groups_made)
            if message.member is not None:
                cancel.cancel_retries(database, message.member.group)
        if "ENDED" in words and message.task_ref is not None:
            self._expire_groups(database, message.task_ref)

    def _expire_groups(self, database: Database, slot: TaskRef) -> None:
        job: Job | None = self.definitions.find(database, slot)
        if job is not None:
            groups.expire_groups(database, slot.occurrence, job)


def _goes_on(ended: EndedAttempt) -> bool:
    if isinstance(ended.ending, Suspension) and ended.ending.is_interrupt:
        # The attempt does not count, and goes on elsewhere under its number.
        return True
    # It has not ended yet: its steps are undone first.
    return must_undo(ended.delivery.message, ended.ending)


def _log_error(ended: EndedAttempt) -> None:
    """Log why an attempt did not succeed, and what becomes of its run: a retry as a warning, a failure as an error."""
    delivery, outcome = ended.delivery, ended.outcome
    why, _, where = outcome.error.partition("\n")
    text = (
        f"{delivery.message.run} of {delivery.message.handler}: attempt {delivery.attempt + 1} {outcome.state}: "
        f"{why.removeprefix(f'{outcome.state}: ')}; "
        f"{describe_settlement(ended.ending)}"
    )
    if isinstance(ended.ending, FinalState) and ended.ending.state is not RunState.CANCELED:
        trace = f"Traceback (most recent call last):\n{where}\n{why}" if where else ""
        log_failure(log, text, trace, log_facts(delivery))
        return
    level = logging.INFO if isinstance(ended.ending, FinalState) else logging.WARNING
    log.log(level, "%s", text, extra=log_extra(delivery))


def release_permits(database: Database, attempts: Sequence[Attempt]) -> None:
    """Give back the permits of attempts that have ended. Raises NotConnected; what is refused is left to the sweep."""
    try:
        limits.release_permits(database, [(each.delivery.message.run, *each.key, each.limit_uses) for each in attempts])
    except ServerRefused as error:
        text = "permits of ended runs (%d) were not given back, or not handed on; the sweep will find them: %s"
        log_limited(log, logging.ERROR, f"permits {error}", text, len(attempts), error)


def log_stale(delivery: Delivery) -> None:
    """Log that an attempt was ended elsewhere."""
    text = "%s of %s was ended elsewhere; this outcome is dropped"
    log.warning(text, delivery.message.run, delivery.message.handler, extra=log_extra(delivery))


def log_postponed(delivery: Delivery, error: Exception) -> None:
    """Log that an outcome waits for another try to record it, once a minute for each error."""
    text, cause, message = "%s of %s could not be recorded, trying again: %s", f"commit {error}", delivery.message
    log_limited(log, logging.ERROR, cause, text, message.run, message.handler, error, extra=log_extra(delivery))


def _add_transaction(attempt: Attempt, ended: EndedAttempt, commit: ScriptCall) -> ScriptCall:
    """Return the call that commits and applies the handler's transaction; the plain one when there is none to apply.

    One script does both: a worker that dies, or a fence that refuses it, leaves either both or neither.
    """
    transaction = _find_transaction(attempt, ended)
    if transaction is None:
        return commit
    follow_ups = [call for _, call in transaction.follow_ups]
    return transactions.commit_transaction(attempt.delivery, commit, transaction.writes, follow_ups)


def final_log_calls(attempt: Attempt) -> list[ScriptCall]:
    """Return the calls that bring an attempt's log up to date before its outcome, and let it expire with it."""
    ended, tools = attempt.ended_attempt, attempt.tools
    if ended is None or tools is None or not tools.log_buffer.has_content:
        return []
    return tools.log_buffer.calls(attempt.database.keys, attempt.delivery, run_ends.attempt_keep_ms(ended))


def _find_transaction(attempt: Attempt, ended: EndedAttempt) -> Transaction | None:
    # A handler that failed has changed nothing, whatever it had collected until then.
    return attempt.tools.pending_transaction if attempt.tools is not None and ended.ending == SUCCEEDED else None
