"""Commit: record what ended. Outcomes that arrive while a commit is under way go with the next one."""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from typing import NamedTuple

from jobistemer.core.errors import JobistemerError, NotConnected
from jobistemer.core.runs.settle import (
    CANCELED,
    SUCCEEDED,
    FinalState,
    Outcome,
    Settlement,
    describe_settlement,
    settle,
)
from jobistemer.core.states import AttemptState, RunState
from jobistemer.store.actions import cancel
from jobistemer.store.calls import bulk_commit, ended_attempt, groups, limits, runs
from jobistemer.store.calls.runs import EndedAttempt
from jobistemer.store.database import Database
from jobistemer.store.scripts import Reply, ScriptCall
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.attempts.definition_cache import DefinitionCache
from jobistemer.worker.attempts.metrics import ThreadMetrics
from jobistemer.worker.attempts.prefetch import Prefetch
from jobistemer.worker.attempts.run_logger import log_extra
from jobistemer.worker.commit.after_commit import run_after_commit
from jobistemer.worker.commit.effects import add_transaction, final_log_calls, notify_hooks
from jobistemer.worker.commit.finished import FinishedQueue
from jobistemer.worker.commit.hook_notifier import HookNotifier

MAX_BATCH = 200
"""How many go with one send: a fifth of what is in flight at most, so that the server records one part while slots work
on the next (decision 0001)."""
RETRY_S = 0.5

log = logging.getLogger("jobistemer.worker")


class _PendingCommit(NamedTuple):
    attempt: Attempt
    ended: EndedAttempt
    ending: Settlement
    call: ScriptCall


class Committer:
    """One thread of a worker that writes outcomes of a shard; nothing it holds is lost when the server is away.

    shared_queue: the queue of another one that this one helps: it takes what is left over when one send is full.
    """

    def __init__(
        self,
        prefetch: Prefetch,
        definitions: DefinitionCache,
        hook_notifier: HookNotifier | None = None,
        metrics: ThreadMetrics | None = None,
        shared_queue: FinishedQueue | None = None,
    ) -> None:
        self._prefetch = prefetch
        self._definitions = definitions
        self._hook_notifier = hook_notifier
        self._metrics = metrics
        self.finished = shared_queue or FinishedQueue()
        self._take_batch = self.finished.take_overflow if shared_queue else self.finished.take
        self._batch: list[Attempt] = []
        self._postponed: dict[Attempt, None] = {}
        self._retry_at = 0.0
        # Whether each of the batch goes by itself: of those that were refused together one may be the cause.
        self._one_by_one = False
        self.counts: Counter[str] = Counter()

    def step(self) -> None:
        """Wait for outcomes, then commit all that are there. On an error the same batch is sent again."""
        if not self._batch and not self._next_batch():
            return
        if self._postponed:
            # When the batch is sent again, its refusals are counted anew.
            for attempt in self._batch:
                self._postponed.pop(attempt, None)
        self._commit(self._batch[0].database, self._batch)
        ended = (
            [attempt for attempt in self._batch if attempt not in self._postponed] if self._postponed else self._batch
        )
        self._batch = []
        self._prefetch.finish(
            [attempt.key for attempt in ended], sum(attempt.ended - attempt.started for attempt in ended)
        )

    def _next_batch(self) -> bool:
        self._one_by_one = bool(self._postponed) and time.monotonic() >= self._retry_at
        if self._one_by_one:
            self._retry_at = time.monotonic() + RETRY_S
            self._batch, self._postponed = list(self._postponed), {}
            return True
        self._batch = self._take_batch(MAX_BATCH)
        return bool(self._batch)

    def _commit(self, database: Database, attempts: list[Attempt]) -> None:
        plain: dict[tuple[bytes, int, bool], list[Attempt]] = {}
        singles: list[_PendingCommit] = []
        together = not self._one_by_one
        for attempt in attempts:
            ended = _ended_attempt(attempt)
            if (
                together
                and bulk_commit.is_plain_success(ended)
                and (attempt.tools is None or not attempt.tools.has_effects)
            ):
                plain.setdefault(bulk_commit.bundle_key(ended), []).append(attempt)
            elif (pending := self._try_prepare(attempt)) is not None:
                singles.append(pending)
        parts = [
            each[at : at + bulk_commit.MAX_RUNS_PER_CALL]
            for each in plain.values()
            for at in range(0, len(each), bulk_commit.MAX_RUNS_PER_CALL)
        ]
        calls = [bulk_commit.commit_bundle(database.keys, [_ended_attempt(each) for each in part]) for part in parts]
        calls += [pending.call for pending in singles]
        # What handlers noted goes before their outcomes, as an attempt that has ended is not written to; and on its
        # own, since a pipeline does not keep its order where the server does not know a script yet.
        if notes := [
            call for pending in singles for call in final_log_calls(pending.attempt, pending.ended, pending.ending)
        ]:
            database.call_all(notes)
        replies = database.call_all(calls)
        for part, reply in zip(parts, replies, strict=False):
            self._handle_bundle_reply(part, reply)
        for pending, reply in zip(singles, replies[len(parts) :], strict=True):
            self._handle_reply(database, pending, reply)
        limits.release_permits(
            database, [(each.delivery.message.run, *each.key, each.uses) for each in attempts if each.uses]
        )

    def _try_prepare(self, attempt: Attempt, ending: Settlement | None = None) -> _PendingCommit | None:
        try:
            return self._prepare(attempt, ending)
        except NotConnected:
            raise
        except Exception as error:  # noqa: BLE001 - such as a definition that this version cannot read
            # One outcome that cannot be written holds up no other.
            self._postpone(attempt, error)
            return None

    def _prepare(self, attempt: Attempt, ending: Settlement | None = None) -> _PendingCommit:
        ended, delivery = _ended_attempt(attempt), attempt.delivery
        elapsed_ms = ended_attempt.read_elapsed_ms(attempt.database, ended) if ended_attempt.needs_elapsed(ended) else 0
        chosen = ending or settle(
            *(delivery.message, delivery.attempt, delivery.crashes, ended.outcome, random.random()), elapsed_ms
        )
        fails = isinstance(chosen, FinalState) and chosen.state is not RunState.SUCCEEDED
        if fails and delivery.attempt and attempt.handler.context_parameter is not None:
            # Attempts before may have mapped; what they have made ends with the run.
            made = groups.count_groups(attempt.database, delivery.message.run)
            ended = attempt.record = ended._replace(mapped=max(made, ended.mapped))
        call = add_transaction(attempt, chosen, self._build_call(attempt.database, ended, chosen))
        return _PendingCommit(attempt, ended, chosen, call)

    def _build_call(self, database: Database, ended: EndedAttempt, ending: Settlement) -> ScriptCall:
        if not isinstance(ending, FinalState):
            return runs.retry(database.keys, ended, ending)
        slot = ended.delivery.message.task_ref
        job = self._definitions.find(database, slot.job, slot.version) if slot else None
        return runs.commit(database.keys, ended, ending, job)

    def _handle_bundle_reply(self, bundle: list[Attempt], reply: Reply | JobistemerError) -> None:
        if isinstance(reply, JobistemerError):
            for attempt in bundle:
                self._postpone(attempt, reply)
            return
        self.counts[AttemptState.SUCCEEDED] += len(bundle) - len(reply.values)
        for position in reply.values:
            self._count_stale(bundle[position - 1])
        if self._hook_notifier is None and self._metrics is None:
            return
        stale = set(reply.values)
        ours = [attempt for position, attempt in enumerate(bundle, 1) if position not in stale] if stale else bundle
        if self._metrics is not None:
            self._metrics.count_successes(ours)
        if self._hook_notifier is not None:
            for attempt in ours:
                self._hook_notifier.notify((_ended_attempt(attempt), SUCCEEDED))

    def _count_stale(self, attempt: Attempt) -> None:
        delivery = attempt.delivery
        self.counts["stale"] += 1
        log.warning("%s of %s was ended by somebody else; this outcome is dropped", delivery.message.run,
                    delivery.message.handler, extra=log_extra(delivery))  # fmt: skip

    def _handle_reply(self, database: Database, pending: _PendingCommit, reply: Reply | JobistemerError) -> None:
        if isinstance(reply, JobistemerError):
            # Refused whole (loading after a restart, read only after a failover): the entry is still ours, so again.
            self._postpone(pending.attempt, reply)
        elif reply.word == "STALE":
            self._count_stale(pending.attempt)
        elif reply.word == "CANCELED":
            # Between the attempt's start and its end somebody asked for the run to be cancelled: no retry then.
            self._recommit(database, pending.attempt, CANCELED)
        elif reply.word == "REFUSED":
            # Nothing was written. The work was done, but not what belongs to it; another try would find the same.
            error = f"the work was done, but its transaction was refused: {reply.values[0].decode()}"
            pending.attempt.outcome = Outcome(AttemptState.FAILED, error=error, poison=True)
            pending.attempt.record = None
            self._recommit(database, pending.attempt)
        else:
            self.counts[pending.ended.outcome.state] += 1
            self._finish_commit(database, pending)
            if reply.extensions:
                run_after_commit(database, pending.ended, self._definitions, reply.extensions)

    def _recommit(self, database: Database, attempt: Attempt, ending: Settlement | None = None) -> None:
        pending = self._try_prepare(attempt, ending)
        if pending is not None:
            self._handle_reply(database, pending, database.call_all([pending.call])[0])

    def _postpone(self, attempt: Attempt, error: Exception) -> None:
        self._postponed[attempt] = None
        message = attempt.delivery.message
        log.error("%s of %s could not be recorded, trying again: %s", message.run, message.handler, error,
                  extra=log_extra(attempt.delivery))  # fmt: skip

    def _finish_commit(self, database: Database, pending: _PendingCommit) -> None:
        message, ending = pending.ended.delivery.message, pending.ending
        if self._metrics is not None:
            self._metrics.count(pending.attempt, pending.ended, ending)
        if self._hook_notifier is not None:
            notify_hooks(self._hook_notifier, pending.attempt, pending.ended, ending)
        if pending.ended.outcome.error:
            outcome, number = pending.ended.outcome, pending.ended.delivery.attempt
            why = f"{outcome.error.partition(chr(10))[0]}; {describe_settlement(ending)}"
            log.info("%s of %s: attempt %d %s: %s", message.run, message.handler, number, outcome.state, why,
                     extra=log_extra(pending.ended.delivery))  # fmt: skip
        if isinstance(ending, FinalState) and ending.verdict and message.task_ref is not None:
            job = self._definitions.find(database, message.task_ref.job, message.task_ref.version)
            if job is not None:
                cancel.cancel_siblings(database, job, message.task_ref)


def _ended_attempt(attempt: Attempt) -> EndedAttempt:
    if attempt.record is None:
        outcome = attempt.outcome or Outcome(AttemptState.FAILED, error="ended without an outcome")
        at_ms = attempt.database.clock.at_ms
        times = (at_ms(attempt.started), at_ms(attempt.ended))
        # Made once: a second send is known by its times, and the clock may have been corrected meanwhile.
        attempt.record = EndedAttempt(attempt.delivery, outcome, attempt.worker, *times)
        if attempt.mapped:
            attempt.record = attempt.record._replace(reducers=attempt.reducers, mapped=attempt.mapped)
    return attempt.record
