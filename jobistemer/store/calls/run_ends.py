"""Calls that record how an attempt has ended, and with it the end of its run or the wait for the next attempt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobistemer.core import ids
from jobistemer.core.jobs.graph import find_released, find_skipped
from jobistemer.core.jobs.job import FailureStrategy, Job
from jobistemer.core.jobs.options import complete_options
from jobistemer.core.runs.message import Message, TaskRef, encode_message
from jobistemer.core.runs.settle import FinalState, NextAttempt, Suspension, must_undo
from jobistemer.core.states import RETRYABLE_RUNS, AttemptState
from jobistemer.store.calls.commit_extensions import extension_calls, mark_fields
from jobistemer.store.calls.durable.steps import suspend_run, undo_run
from jobistemer.store.calls.ended_attempt import EndedAttempt
from jobistemer.store.calls.groups import UNFINISHED_KEEP_MS
from jobistemer.store.calls.runs import halt_keys, interrupt_run
from jobistemer.store.keys import DAY_MS, Keys, place
from jobistemer.store.scripts import Reply, ScriptCall, script

KEEP_EARLIER_MS = 7 * 86_400_000
"""How much longer than the retention of its run the record of an attempt is kept that did not end the run."""
MAX_LOST_PER_CALL = 100
"""How many lost attempts one call ends."""


def record_end(keys: Keys, ended: EndedAttempt, job: Job | None) -> ScriptCall:
    """Build the call that records the end of an attempt, and with it the end of its run or the wait for the next one.

    job: the definition that the run's occurrence is pinned to; None for a run of no occurrence, or when its retention
    is over.
    """
    ending = ended.ending
    if isinstance(ending, FinalState):
        return end_run(keys, ended, ending, job)
    if isinstance(ending, NextAttempt):
        return _retry(keys, ended, ending)
    if ending.is_interrupt:
        return interrupt_run(keys, ended.delivery)
    return suspend_run(keys, ended, ending, attempt_keep_ms(ended), _attempt_fields(ended))


def end_run(keys: Keys, ended: EndedAttempt, over: FinalState, job: Job | None) -> ScriptCall:
    """Build the call that ends a run for good, with the extensions that its end asks for."""
    message = ended.delivery.message
    if must_undo(message, over):
        return undo_run(keys, ended, over, _run_keep_ms(ended, over) + KEEP_EARLIER_MS, _attempt_fields(ended))
    if message.task_ref is None or ended.hands_over:
        unique = (keys.unique(message.unique),) if message.unique else ()
        attempt_fields, run_fields = _attempt_fields(ended), _run_fields(ended, over)
        args = (*_commit_args(ended, over), len(attempt_fields), *attempt_fields, *run_fields)
        call = script("commit_run")((*_commit_keys(keys, ended), keys.ended(over.state), *unique), args)
    else:
        call = _commit_task(keys, ended, over, message.task_ref, job)
    extensions = extension_calls(keys, ended, over, job, _run_keep_ms(ended, over))
    return call._replace(extensions=extensions) if extensions else call


def _retry(keys: Keys, ended: EndedAttempt, later: NextAttempt) -> ScriptCall:
    """Build the call that ends an attempt whose run goes on, after a delay or at once."""
    delivery, message = ended.delivery, ended.delivery.message
    where = place(message.queue, message.priority)
    due_at = ended.ended_at + later.delay_ms if later.delay_ms else 0
    return script("retry_run")(
        (*_commit_keys(keys, ended)[:4], keys.wake, *halt_keys(keys, message)),
        (
            delivery.entry,
            message.run,
            where,
            ended.outcome.state,
            ended.worker,
            encode_message(message),
            delivery.attempt + 1,
            later.crashes,
            due_at,
            attempt_keep_ms(ended),
            ended.outcome.error[:200],
            *_attempt_fields(ended),
        ),
    )


def _commit_keys(keys: Keys, ended: EndedAttempt) -> tuple[str, ...]:
    message = ended.delivery.message
    return (
        # Not the stream of its queue and priority: a run that waited for a limit was fetched from the front.
        ended.delivery.stream.decode(),
        keys.run(message.run),
        keys.attempt(ids.attempt_id(message.run, ended.delivery.attempt)),
        # A run that waits for a limit is a member of its waiting list as others are of the delayed set.
        keys.waiting(ended.limit) if ended.limit else keys.delayed,
        keys.dead,
        keys.outcomes(ended.ended_at // DAY_MS),
    )


def _commit_args(ended: EndedAttempt, over: FinalState) -> tuple[Any, ...]:
    message = ended.delivery.message
    return (
        ended.source,
        ended.delivery.entry,
        message.run,
        place(message.queue, message.priority),
        over.state,
        ended.outcome.state if ended.source == "attempt" else over.state,
        f"{message.queue} {message.handler or 'unknown'}",
        ended.ended_at,
        _run_keep_ms(ended, over),
        int(is_buried(ended.delivery.message, over)),
    )


def is_buried(message: Message, over: FinalState) -> bool:
    """Return whether the run becomes a dead letter."""
    return over.spent and message.dead_letters


def attempt_keep_ms(ended: EndedAttempt) -> int:
    """Return how many milliseconds the record of an attempt is kept."""
    ending = ended.ending
    if isinstance(ending, FinalState):
        return _run_keep_ms(ended, ending)
    delay_ms = ending.delay_ms if isinstance(ending, NextAttempt) else _wait_ms(ended, ending)
    return delay_ms + ended.delivery.message.retention_ms + KEEP_EARLIER_MS


def _wait_ms(ended: EndedAttempt, ending: Suspension) -> int:
    return max(0, ending.due_at - ended.ended_at) if ending.due_at else ending.after_ms


def _run_keep_ms(ended: EndedAttempt, over: FinalState) -> int:
    message = ended.delivery.message
    if is_buried(message, over):
        return max(message.dead_retention_ms, message.retention_ms)
    # A run that has handed over is part of an occurrence that goes on: the reducers still ask for its record.
    kept_on = message.task_ref is not None and ended.hands_over
    return max(UNFINISHED_KEEP_MS, message.retention_ms) if kept_on else message.retention_ms


def _attempt_fields(ended: EndedAttempt) -> list[Any]:
    outcome = ended.outcome
    fields = ["state", outcome.state, "number", ended.delivery.attempt, "worker", ended.worker]
    if ended.started_at:
        # Who ends the attempt of another process does not know when it began; what that one has written stays.
        fields += ["started_at", ended.started_at]
    fields += ["ended_at", ended.ended_at]
    if outcome.error:
        fields += ["error", outcome.error]
    return fields if outcome.state else []


def _run_fields(ended: EndedAttempt, over: FinalState) -> list[Any]:
    outcome = ended.outcome
    fields = ["state", over.state, "ended_at", ended.ended_at]
    if ended.delivery.attempt:
        # A record without a number is that of a first attempt, as those of nearly all runs are.
        fields += ["attempt", ended.delivery.attempt]
    if outcome.result:
        fields += ["result", outcome.result]
    if outcome.state is AttemptState.LOST:
        fields += ["crashes", ended.crashes]
    if error := _find_error(ended):
        fields += ["error", error]
    if is_buried(ended.delivery.message, over):
        fields += ["buried", 1]
    if over.state in RETRYABLE_RUNS:
        # What ended without success can be retried by hand, for which its message is needed.
        fields += ["message", ended.raw or encode_message(ended.delivery.message)]
    if ended.raw:
        # A run whose message names another run, or none, has no record so far.
        message = ended.delivery.message
        fields += ["handler", message.handler or "unknown", "place", place(message.queue, message.priority)]
    return fields + mark_fields(ended, over)


def _find_error(ended: EndedAttempt) -> str:
    undoing, error = ended.delivery.message.undoing, ended.outcome.error
    if undoing is None:
        return error
    # Why the run ended; and why not all of its steps could be undone, when that is so.
    return f"{undoing.error}; undoing its steps failed: {error}" if error else undoing.error


def _commit_task(keys: Keys, ended: EndedAttempt, over: FinalState, slot: TaskRef, job: Job | None) -> ScriptCall:
    # Without its definition the order of the tasks is lost. The occurrence is still counted down, so that it ends.
    following = _next_tasks(job, slot.task, slot.occurrence, over) if job else []
    why = ended.outcome.error.removeprefix(f"{over.state}: ")
    reason = f"task {slot.task} {over.state}: {why}"[:500] if over.verdict else ""
    halt = "1" if over.verdict and job and job.strategy_of(slot.task) is FailureStrategy.FAIL_FAST else ""
    attempt_fields, run_fields = _attempt_fields(ended), _run_fields(ended, over)
    return script("commit_task")(
        (
            *_commit_keys(keys, ended),
            keys.ended(over.state),
            keys.streams,
            keys.occurrence(slot.occurrence),
            keys.live(slot.job),
            keys.queued(slot.job),
            keys.starts,
            keys.wake,
            keys.deadlines,
            *(key for run, where in following for key in (keys.run(run), keys.stream(where))),
        ),
        (
            *_commit_args(ended, over),
            len(attempt_fields),
            over.verdict,
            reason,
            slot.job,
            slot.occurrence,
            ended.delivery.message.retention_ms,
            halt,
            len(following),
            *(where for _, where in following),
            *attempt_fields,
            *run_fields,
        ),
    )


def goes_back(ended: EndedAttempt) -> bool:
    """Return whether the run of a lost attempt goes back to its stream at once."""
    return isinstance(ended.ending, NextAttempt) and not ended.ending.delay_ms


def lose_runs(keys: Keys, lost: Sequence[EndedAttempt]) -> ScriptCall:
    """Build the call for up to 100 lost attempts of one stream, one worker and one moment, whose runs go back."""
    first = lost[0]
    touched: list[Any] = [first.delivery.stream.decode()]
    args: list[Any] = [first.worker, first.outcome.error, first.ended_at, len(lost)]
    for ended in lost:
        delivery, message = ended.delivery, ended.delivery.message
        halting = halt_keys(keys, message)
        touched += (keys.run(message.run), keys.attempt(ids.attempt_id(message.run, delivery.attempt)), *halting)
        args += (delivery.entry, encode_message(message), delivery.attempt, ended.crashes)
        args += (attempt_keep_ms(ended), len(halting))
    return script("lose_runs")(tuple(touched), tuple(args))


def read_lost(reply: Reply, lost: Sequence[EndedAttempt]) -> tuple[list[EndedAttempt], list[EndedAttempt]]:
    """Return the attempts whose runs were put back, and those whose runs are to be cancelled."""
    done, canceled = reply.values
    return [lost[at - 1] for at in done], [lost[at - 1] for at in canceled]


def _next_tasks(job: Job, task: str, occurrence: str, over: FinalState) -> list[tuple[str, str]]:
    """Return run id and place of each task that this end releases, or skips when it is a failure."""
    if not over.verdict:
        names = find_released(job.edges, task)
    elif job.strategy_of(task) is FailureStrategy.CONTINUE:
        names = find_skipped(job.edges, task)
    else:
        names = [name for name in job.edges if name != task]
    return [(ids.run_id(occurrence, ids.task_id(job.id, name)), task_place(job, name)) for name in names]


def task_place(job: Job, task: str) -> str:
    """Return the place of a job's task."""
    options = complete_options(job.task(task).options)
    return place(options.queue, options.priority)
