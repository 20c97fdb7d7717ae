"""Calls that decide occurrences: claim a due instant, fire one on request, start or cancel a queued one, halt one."""

from __future__ import annotations

from collections.abc import Sequence
from secrets import token_hex
from typing import Any, Final, NamedTuple

from jobistemer.core import ids
from jobistemer.core.jobs.job import Job, Overlap
from jobistemer.core.planning.plan import NEVER, Decision, build_runs
from jobistemer.core.runs.message import encode_message
from jobistemer.core.schedules.delays import start_delay_ms
from jobistemer.core.states import OccurrenceState
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys, place
from jobistemer.store.scripts import ScriptCall, script

CALL_BYTES: Final = 6
"""How many random bytes tell a trigger from another one of the same job and second."""


class FireRequest(NamedTuple):
    """A request to fire an instant: the reason, the origin of the request, and an id of its own for a repetition."""

    instant: int
    reason: str
    origin: str
    repeat_id: str = ""


class QueuedOccurrence(NamedTuple):
    """An occurrence that waits in its job's queue; version is None when its record is gone. since: as in Decision."""

    id: str
    instant: int
    version: int | None
    since: int | None


def claim(keys: Keys, job: Job, version: int, decision: Decision, now_ms: int) -> ScriptCall:
    """Decide one instant of a job and move its cursor; the runs are created when the instant fires."""
    return _claim(keys, job, version, decision, now_ms, "")


def claim_extra(keys: Keys, job: Job, version: int, instant: int, now_ms: int, reason: str) -> ScriptCall:
    """Fire an instant that the schedule does not name (trigger now); the cursor stays.

    A second send of this call is told from another trigger, which finds the instant taken.
    """
    decision = Decision(instant, 0, NEVER * 1000, OccurrenceState.PENDING, reason)
    return _claim(keys, job, version, decision, now_ms, token_hex(CALL_BYTES))


def fire(keys: Keys, job: Job, version: int, request: FireRequest, now_ms: int) -> ScriptCall:
    """Fire an instant on request; unless the job allows overlaps, only while no other occurrence is live."""
    occurrence = request.repeat_id or ids.occurrence_id(job.id, request.instant)
    run_keys, run_args = _run_parts(keys, job, version, request.instant, now_ms, None, request.repeat_id)
    return script("fire_occurrence")(
        (
            keys.job(job.id),
            keys.occurrence(occurrence),
            keys.history(job.id),
            keys.live(job.id),
            keys.queued(job.id),
            keys.streams,
            keys.deadlines,
            *run_keys,
        ),
        (
            job.id,
            occurrence,
            version,
            request.instant,
            now_ms,
            request.reason,
            request.origin,
            "yes" if job.overlap == Overlap.ALLOW else "no",
            _deadline(job, now_ms),
            *run_args,
        ),
    )


def start_queued(keys: Keys, job: Job, version: int, instant: int, now_ms: int, since: int | None = None) -> ScriptCall:
    """Start the occurrence of `instant`, which waits in the job's queue; `since` as in Decision."""
    occurrence = ids.occurrence_id(job.id, instant)
    run_keys, run_args = _run_parts(keys, job, version, instant, now_ms, since)
    return script("start_occurrence")(
        (
            keys.occurrence(occurrence),
            keys.live(job.id),
            keys.queued(job.id),
            keys.starts,
            keys.streams,
            keys.deadlines,
            *run_keys,
        ),
        (job.id, occurrence, now_ms, _deadline(job, now_ms), *run_args),
    )


def cancel_queued(keys: Keys, job_id: str, occurrence: str, now_ms: int, reason: str, history_ms: int) -> ScriptCall:
    """Cancel an occurrence that waits in its job's queue."""
    return script("cancel_queued")(
        (keys.occurrence(occurrence), keys.queued(job_id), keys.starts),
        (job_id, occurrence, now_ms, reason, history_ms),
    )


def postpone_deadline(database: Database, occurrence: str, at_ms: int) -> None:
    """Put off the deadline of an occurrence until `at_ms`, unless it is gone (XX)."""
    database.ask("ZADD", database.keys.deadlines, "XX", at_ms, occurrence)


def claim_first_start(keys: Keys, occurrence: str, attempt: str) -> ScriptCall:
    """Ask whether an attempt is the first of its occurrence."""
    return script("claim_first_start")((keys.occurrence(occurrence),), (attempt,))


def halt(keys: Keys, occurrence: str, verdict: OccurrenceState, reason: str, again_at: int) -> ScriptCall:
    """Let a live occurrence end early; the caller has to end its runs next."""
    return script("halt_occurrence")(
        (keys.occurrence(occurrence), keys.deadlines),
        (occurrence, verdict, reason, again_at),
    )


def find_first_queued(database: Database, job_id: str) -> QueuedOccurrence | None:
    """Find the occurrence that is first in the queue of a job, or None."""
    first = database.ask("ZRANGE", database.keys.queued(job_id), 0, 0, "WITHSCORES")
    if not first:
        return None
    occurrence, instant = first[0].decode(), int(float(first[1]))
    version, since = database.ask("HMGET", database.keys.occurrence(occurrence), "version", "since")
    return QueuedOccurrence(
        occurrence, instant, None if version is None else int(version), None if since is None else int(since)
    )


def read_due_marks(database: Database, job_ids: Sequence[str]) -> list[int | None]:
    """Read the due marks (ms) of jobs; None for a job that has been removed."""
    marks = database.ask("ZMSCORE", database.keys.due, *job_ids)
    return [None if mark is None else int(mark) for mark in marks]


def _claim(keys: Keys, job: Job, version: int, decision: Decision, now_ms: int, call: str) -> ScriptCall:
    occurrence = ids.occurrence_id(job.id, decision.instant)
    fires = decision.state is OccurrenceState.PENDING
    run_keys, run_args = _run_parts(keys, job, version, decision.instant, now_ms, decision.since) if fires else ((), ())
    # Jitter and spread are for instants of the schedule; a trigger means now.
    delay_ms = start_delay_ms(job.schedule, occurrence, job.id) if fires and not call else 0
    return script("claim_occurrence")(
        (
            keys.job(job.id),
            keys.due,
            keys.occurrence(occurrence),
            keys.history(job.id),
            keys.live(job.id),
            keys.queued(job.id),
            keys.delayed,
            keys.streams,
            keys.deadlines,
            keys.chores,
            *run_keys,
        ),
        (
            job.id,
            occurrence,
            version,
            decision.instant,
            "" if call else decision.expected,
            decision.look_at_ms,
            now_ms,
            decision.state,
            decision.reason,
            job.overlap,
            job.max_queued,
            round(job.history_s * 1000),
            now_ms + delay_ms if delay_ms else 0,
            _deadline(job, now_ms + delay_ms),
            "" if decision.since is None else decision.since,
            call,
            *run_args,
        ),
    )


def _deadline(job: Job, start_ms: int) -> int | str:
    return "" if job.occurrence_timeout_s is None else start_ms + round(job.occurrence_timeout_s * 1000)


def _run_parts(
    keys: Keys, job: Job, version: int, instant: int, now_ms: int, since: int | None, repeat_id: str = ""
) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Return the keys and the arguments of the runs of an occurrence, as the scripts take them after their own."""
    run_keys: list[str] = []
    args: list[Any] = []
    for task, message in build_runs(job, version, instant, now_ms, since, repeat_id):
        where = place(message.queue, message.priority)
        run_keys += (keys.run(message.run), keys.stream(where))
        args += (message.run, message.handler, where, encode_message(message), len(task.after))
    return tuple(run_keys), tuple(args)
