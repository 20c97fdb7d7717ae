"""Calls that move a run through its life: create, promote, record, end, try again, hand back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from jobistemer.core import ids
from jobistemer.core.jobs.graph import find_released, find_skipped
from jobistemer.core.jobs.job import FailureStrategy, Job
from jobistemer.core.jobs.options import complete_options
from jobistemer.core.runs.message import Delivery, Message, TaskRef, encode_message
from jobistemer.core.runs.settle import FinalState, NextAttempt
from jobistemer.core.states import RunState
from jobistemer.store.calls.commit_extensions import extension_calls, mark_fields
from jobistemer.store.calls.ended_attempt import EndedAttempt
from jobistemer.store.calls.groups import UNFINISHED_KEEP_MS
from jobistemer.store.keys import Keys, place, split_delayed_member
from jobistemer.store.scripts import Call, script

KEEP_EARLIER_MS = 7 * 86_400_000
"""How much longer than the retention of its run the record of an attempt is kept that did not end the run."""
MAX_UNIQUE_MS = 30 * 86_400_000
"""How long a unique key is held at most: a run that never ends must not block its key for ever."""
MAX_RUNS_PER_CALL = 100
"""How many runs one call of `enqueue_runs` creates."""


def enqueue_run(keys: Keys, message: Message, due_at: int = 0, unique_ms: int = MAX_UNIQUE_MS, lock: str = "") -> Call:
    """Build the call that creates a run, on its stream, or in the delayed set when `due_at` (ms) is given.

    lock: a unique key that is held for all of `unique_ms`, also after the run has ended.
    """
    where, unique_key = place(message.queue, message.priority), lock or message.unique
    unique = (keys.unique(unique_key),) if unique_key else ()
    encoded = encode_message(message)
    common = (message.run, message.handler, encoded, where, unique_ms)
    if due_at > 0:
        touched = (keys.run(message.run), keys.delayed, keys.wake, keys.closed, *unique)
        return script("delay_run")(touched, (*common, due_at))
    touched = (keys.run(message.run), keys.stream(where), keys.streams, keys.closed, *unique)
    return script("enqueue_run")(touched, common)


def enqueue_runs(keys: Keys, where: str, messages: Sequence[Message]) -> Call:
    """Build the call that creates up to 100 runs of one place that start at once and have no unique key."""
    touched = [keys.run(message.run) for message in messages]
    args: list[str | bytes] = [where]
    for message in messages:
        args += (message.handler, encode_message(message))
    return script("enqueue_runs")((keys.stream(where), keys.streams, keys.closed, *touched), tuple(args))


def debounce_run(keys: Keys, message: Message, lock: str, window: tuple[int, int], now_ms: int, seen: str = "") -> Call:
    """Build the call that creates a run which starts when no further call comes, or puts off the run that waits.

    window: the ms at which it starts if no further call comes, and at the latest. seen: the run that the caller has
    seen waiting.
    """
    where = place(message.queue, message.priority)
    moved = encode_message(msgspec.structs.replace(message, run=seen)) if seen else b""
    run, earlier = keys.run(message.run), keys.run(seen or message.run)
    return script("debounce_run")(
        (run, earlier, keys.delayed, keys.unique(lock), keys.closed, keys.wake),
        (message.run, seen, message.handler, encode_message(message), moved, where, now_ms, *window),
    )


def free_unique(keys: Keys, message: Message) -> Call:
    """Build the call that gives up a unique key which is held only while the run is queued."""
    return script("free_unique")((keys.unique(message.unique),), (message.run,))


def promote_runs(keys: Keys, members: list[str], now: int) -> Call:
    """Build the call that moves up to 100 members of the delayed set that are due onto their streams."""
    pairs = [split_delayed_member(member) for member in members[:100]]
    touched = [key for where, run in pairs for key in (keys.run(run), keys.stream(where))]
    args = [arg for where, run in pairs for arg in (run, where)]
    return script("promote_runs")((keys.delayed, keys.streams, *touched), (now, *args))


def start_attempt(keys: Keys, delivery: Delivery, worker: str, started_at: int) -> Call:
    """Build the call that records an attempt which is going on."""
    message = delivery.message
    occurrence = (keys.occurrence(message.slot.occurrence),) if message.slot else ()
    attempt = keys.attempt(ids.attempt_id(message.run, delivery.attempt))
    return script("start_attempt")(
        (keys.run(message.run), attempt, *occurrence),
        (delivery.entry, delivery.attempt, worker, started_at),
    )


def record_end(keys: Keys, ended: EndedAttempt, job: Job | None) -> Call:
    """Build the call that records the end of an attempt, and with it the end of its run or the wait for the next one.

    job: the definition that the run's occurrence is pinned to; None for a run of no occurrence, or when its retention
    is over.
    """
    ending = ended.ending
    return end_run(keys, ended, ending, job) if isinstance(ending, FinalState) else _retry(keys, ended, ending)


def end_run(keys: Keys, ended: EndedAttempt, over: FinalState, job: Job | None) -> Call:
    """Build the call that ends a run for good, with the extensions that its end asks for.

    Apart from `record_end` for programs that end runs and never retry them: their role may not call the other script.
    """
    message = ended.delivery.message
    if message.slot is None or ended.hands_over:
        unique = (keys.unique(message.unique),) if message.unique else ()
        attempt_fields, run_fields = _attempt_fields(ended), _run_fields(ended, over)
        args = (*_commit_args(ended, over), len(attempt_fields), *attempt_fields, *run_fields)
        call = script("commit_run")((*_commit_keys(keys, ended), *unique), args)
    else:
        call = _commit_task(keys, ended, over, message.slot, job)
    extensions = extension_calls(keys, ended, over, job, _run_keep_ms(ended, over))
    return call._replace(extensions=extensions) if extensions else call


def _retry(keys: Keys, ended: EndedAttempt, later: NextAttempt) -> Call:
    """Build the call that ends an attempt whose run goes on, after a delay or at once."""
    delivery, message = ended.delivery, ended.delivery.message
    where = place(message.queue, message.priority)
    due_at = ended.ended_at + later.delay_ms if later.delay_ms else 0
    return script("retry_run")(
        (*_commit_keys(keys, ended)[:4], keys.wake, *_halt_keys(keys, message)),
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


def _halt_keys(keys: Keys, message: Message) -> tuple[str, ...]:
    """Return the record that says whether the occurrence or the group of the run has been halted meanwhile."""
    if message.slot is not None:
        return (keys.occurrence(message.slot.occurrence),)
    return (keys.group(message.member.group),) if message.member is not None else ()


def hand_back(keys: Keys, delivery: Delivery, now: int, delay_ms: int = 0, note: str = "") -> Call:
    """Build the call that gives back an entry which was fetched and never started; its attempt does not count."""
    message = delivery.message
    where = place(message.queue, message.priority)
    attempt = keys.attempt(ids.attempt_id(message.run, delivery.attempt))
    return script("retry_run")(
        (delivery.stream.decode(), keys.run(message.run), attempt, keys.delayed, keys.wake),
        (
            delivery.entry,
            message.run,
            where,
            "",
            "",
            encode_message(message),
            delivery.attempt,
            delivery.crashes,
            now + delay_ms if delay_ms else 0,
            0,
            note,
        ),
    )


def request_cancel(keys: Keys, run: str, entry: str, now: int) -> Call:
    """Build the call that asks the worker which has this entry in flight to cancel the run."""
    return script("request_cancel")((keys.run(run), keys.cancels), (run, entry, now))


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
    )


def _commit_args(ended: EndedAttempt, over: FinalState) -> tuple[Any, ...]:
    message = ended.delivery.message
    return (
        ended.source,
        ended.delivery.entry,
        message.run,
        place(message.queue, message.priority),
        over.state,
        ended.outcome.state,
        ended.ended_at,
        _run_keep_ms(ended, over),
    )


def attempt_keep_ms(ended: EndedAttempt) -> int:
    """Return how many milliseconds the record of an attempt is kept."""
    ending = ended.ending
    if isinstance(ending, FinalState):
        return _run_keep_ms(ended, ending)
    return ending.delay_ms + ended.delivery.message.retention_ms + KEEP_EARLIER_MS


def _run_keep_ms(ended: EndedAttempt, over: FinalState) -> int:
    message = ended.delivery.message
    if over.state is RunState.DEAD:
        return max(message.dead_retention_ms, message.retention_ms)
    # A run that has handed over is part of an occurrence that goes on: the reducers still ask for its record.
    kept_on = message.slot is not None and ended.hands_over
    return max(UNFINISHED_KEEP_MS, message.retention_ms) if kept_on else message.retention_ms


def _attempt_fields(ended: EndedAttempt) -> list[Any]:
    outcome = ended.outcome
    fields = ["state", outcome.state, "number", ended.delivery.attempt, "worker", ended.worker]
    fields += ["started_at", ended.started_at, "ended_at", ended.ended_at]
    if outcome.error:
        fields += ["error", outcome.error]
    return fields if outcome.state else []


def _run_fields(ended: EndedAttempt, over: FinalState) -> list[Any]:
    outcome = ended.outcome
    fields = ["state", over.state, "attempt", ended.delivery.attempt, "ended_at", ended.ended_at]
    if outcome.result:
        fields += ["result", outcome.result]
    if outcome.error:
        fields += ["error", outcome.error]
    if over.state is RunState.DEAD:
        fields += ["message", encode_message(ended.delivery.message)]
    return fields + mark_fields(ended, over)


def _commit_task(keys: Keys, ended: EndedAttempt, over: FinalState, slot: TaskRef, job: Job | None) -> Call:
    # Without its definition the order of the tasks is lost. The occurrence is still counted down, so that it ends.
    following = _next_tasks(job, slot.task, slot.occurrence, over) if job else []
    why = ended.outcome.error.removeprefix(f"{over.state}: ")
    reason = f"task {slot.task} {over.state}: {why}"[:500] if over.verdict else ""
    halt = "1" if over.verdict and job and job.strategy_of(slot.task) is FailureStrategy.FAIL_FAST else ""
    attempt_fields, run_fields = _attempt_fields(ended), _run_fields(ended, over)
    return script("commit_task")(
        (
            *_commit_keys(keys, ended),
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
