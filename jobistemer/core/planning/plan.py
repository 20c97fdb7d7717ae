"""What a ticker decides about one job: which instants to fire, which were missed, when to look again.

    due = schedule.between(cursor, now); what is due within the grace period is fired; what is older was missed
    and goes through the job's recovery strategy; then the cursor moves on.

The same rule covers on-time firing, downtime and start-up. The decision is a function of (job, cursor, now); it is
applied instant by instant by `lua/occurrences/claim_occurrence.lua`, together with the cursor.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from jobistemer.core import ids
from jobistemer.core.jobs.job import Job, Recovery, Task
from jobistemer.core.jobs.options import complete_options
from jobistemer.core.planning.recovery import Backlog, find_backlog, find_excluding_calendar, grace_boundary, recover
from jobistemer.core.runs.message import Message, TaskRef, compose_message, to_message_fields
from jobistemer.core.schedules import jitter_ms, spread_ms
from jobistemer.core.states import OccurrenceState

NEVER = 9_000_000_000_000
"""The due mark of a job that has no further instant: Unix seconds far beyond any schedule."""
PACE = 10
"""Catching up is paced in tenths of a second: so many missed instants at once, then a pause."""
ON_TIME_MS = 1_000
"""Up to here an occurrence counts as on time in its reason; the exact lateness is recorded anyway."""


class Decision(msgspec.Struct, frozen=True):
    """One instant, what becomes of it and why.

    expected: the cursor it was decided from. look_at_ms: when the job is to be looked at next, which is its next
    instant unless catching up is throttled. since: for a compressed run, the cursor before the first instant that it
    stands for.
    """

    instant: int
    expected: int
    look_at_ms: int
    state: OccurrenceState
    reason: str
    since: int | None = None


def plan(job: Job, cursor: int, now_ms: int, limit: int, since: int | None = None) -> list[Decision]:
    """Decide the instants of `job` after `cursor` that are due at `now_ms`, the earliest `limit` of them.

    since: where compressing began, when earlier rows were compressed into one that is still to come.
    """
    instants, behind = _find_due(job, cursor, now_ms // 1000, limit)
    if not instants:
        return []
    boundary = grace_boundary(job, now_ms)
    missed = find_backlog(job, cursor, since, now_ms) if instants[0] < boundary else None
    carried = since if missed is None else missed.since
    following = [*instants[1:], behind]
    decisions: list[Decision] = []
    fired = 0
    for expected, instant, then in zip([cursor, *instants], instants, following, strict=False):
        decision = _decide(job, instant, expected, then, missed if instant < boundary else None, now_ms)
        if job.recovery is Recovery.COMPRESSED and carried is not None:
            decision = _with_since(decision, carried)
            # Whoever runs first stands for what was compressed before it, also when it turns out to be on time.
            carried = None if decision.state is OccurrenceState.PENDING else carried
        decisions.append(decision)
        if instant < boundary and decision.state is OccurrenceState.PENDING:
            fired += 1
            if fired >= max(1, job.catch_up_per_s // PACE):
                # The pause stands in the due mark, where every ticker sees it.
                pause_ms = round(fired / job.catch_up_per_s * 1000)
                look_at = max(decision.look_at_ms, now_ms + pause_ms)
                return [*decisions[:-1], msgspec.structs.replace(decision, look_at_ms=look_at)]
    return decisions


def _find_due(job: Job, cursor: int, now: int, limit: int) -> tuple[list[int], int]:
    """The first `limit` instants that are due, and the one behind them."""
    instants: list[int] = []
    instant = _next_due(job, cursor)
    while instant <= now and len(instants) < limit:
        instants.append(instant)
        instant = _next_due(job, instant)
    return instants, instant


def _decide(job: Job, instant: int, expected: int, following: int, missed: Backlog | None, now_ms: int) -> Decision:
    calendar = find_excluding_calendar(job, instant)
    if calendar is not None:
        state, reason = OccurrenceState.SKIPPED, f"excluded by calendar {calendar.name}"
    elif missed is None:
        state, reason = OccurrenceState.PENDING, fired_reason(instant, now_ms)
    else:
        state, reason = recover(job, instant, missed, now_ms)
    return Decision(instant, expected, following * 1000, state, reason)


def _with_since(decision: Decision, since: int) -> Decision:
    if decision.state not in (OccurrenceState.PENDING, OccurrenceState.COMPRESSED):
        return decision
    return msgspec.structs.replace(decision, since=since)


def fired_reason(instant: int, now_ms: int) -> str:
    """Why an occurrence ran, with how late it was."""
    if now_ms - instant * 1000 < ON_TIME_MS:
        return "fired on time"
    return f"fired late by {(now_ms - instant * 1000) / 1000:.1f} s"


def _next_due(job: Job, instant: int) -> int:
    following = job.schedule.next_unix(instant)
    return NEVER if following is None else following


def first_due(job: Job, cursor: int) -> int:
    """The first instant after `cursor`, or NEVER."""
    return _next_due(job, cursor)


def start_delay_ms(job: Job, occurrence: str) -> int:
    """How long the runs of an occurrence are held back by the schedule's jitter and spread."""
    return jitter_ms(job.schedule, occurrence) + spread_ms(job.schedule, job.id)


def build_runs(
    job: Job, version: int, instant: int, now_ms: int, since: int | None = None, repeated: str = ""
) -> Iterator[tuple[Task, Message]]:
    """The messages of an occurrence's runs, one per task, under the given version of the job.

    repeated: the occurrence's id where it stands for its instant once more.
    """
    occurrence = repeated or ids.occurrence_id(job.id, instant)
    for task in job.tasks:
        run = ids.run_id(occurrence, ids.task_id(job.id, task.name))
        slot = TaskRef(occurrence, job.id, version, instant, task.name, since, job.stands_alone)
        yield task, _build_message(job, task, run, now_ms, task_ref=slot)


def build_completion_run(job: Job, task: Task, occurrence: str, now_ms: int) -> Message:
    """The message of a job's on_complete; it belongs to no occurrence, since the one it is about has ended."""
    about = {"job": job.id, "occurrence": occurrence}
    return _build_message(job, task, ids.completion_run_id(occurrence), now_ms, metadata=about)


def _build_message(job: Job, task: Task, run: str, now_ms: int, **fields: Any) -> Message:
    options = to_message_fields(complete_options(task.options)) | {"retention_ms": round(job.history_s * 1000)}
    return compose_message(run, task.handler, now_ms, payload=task.payload, **options, **fields)
