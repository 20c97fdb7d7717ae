"""What a ticker decides about one job: which instants to fire, which were missed, when to look again.

    due = schedule.between(cursor, now); what is due within the grace period is fired; what is older was missed
    and goes through the job's recovery strategy; then the cursor moves on.

The same rule covers on-time firing, downtime and start-up. The decision is a function of (job, cursor, now); it is
applied instant by instant by `lua/claim_occurrence.lua`, together with the cursor.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice, pairwise
from typing import Any

import msgspec

from jobistemer.core import ids
from jobistemer.core.messages import Message, Slot, compose, wire_options
from jobistemer.core.models import Job, Recovery, Task
from jobistemer.core.options import complete
from jobistemer.core.schedules import jitter_ms, spread_ms
from jobistemer.core.states import OccurrenceState

NEVER = 9_000_000_000_000
"""The due mark of a job that has no further instant: Unix seconds far beyond any schedule."""
ON_TIME_MS = 1_000
"""Up to here an occurrence counts as on time in its reason; the exact lateness is recorded anyway."""


class Decision(msgspec.Struct, frozen=True):
    """One instant, what becomes of it and why; `expected` is the cursor it was decided from."""

    instant: int
    expected: int
    next_due: int
    state: OccurrenceState
    reason: str


def plan(job: Job, cursor: int, now_ms: int, limit: int) -> list[Decision]:
    """Decide the instants of `job` after `cursor` that are due at `now_ms`, the earliest `limit` of them."""
    now = now_ms // 1000
    upcoming = job.schedule.unix_between(cursor, now)
    instants = list(islice(upcoming, limit + 1))
    following = _next_due(job, instants[-1] if instants else cursor)
    steps = pairwise([cursor, *instants, following])
    decided = [
        _decide(job, instant, expected, following, now_ms)
        for (expected, instant), following in zip(steps, [*instants[1:], following], strict=False)
    ]
    return decided[:limit]


def _decide(job: Job, instant: int, expected: int, following: int, now_ms: int) -> Decision:
    state, reason = _judge(job, instant, following, now_ms)
    return Decision(instant, expected, following, state, reason)


def _judge(job: Job, instant: int, following: int, now_ms: int) -> tuple[OccurrenceState, str]:
    for calendar in job.calendars:
        if calendar.excludes(datetime.fromtimestamp(instant, UTC)):
            return OccurrenceState.SKIPPED, f"excluded by calendar {calendar.name}"
    oldest_ms = now_ms - job.grace_s * 1000
    if instant * 1000 >= oldest_ms:
        return OccurrenceState.PENDING, fired_reason(instant, now_ms)
    if job.recovery is Recovery.MARK_AS_MISSED:
        return OccurrenceState.MISSED, f"missed: found {_late(instant, now_ms)} late, no ticker ran"
    if job.recovery is Recovery.EXECUTE_LAST and following * 1000 < oldest_ms:
        return (
            OccurrenceState.MISSED,
            f"missed: found {_late(instant, now_ms)} late; a later one runs in its place",
        )
    return OccurrenceState.PENDING, f"{fired_reason(instant, now_ms)} (recovery {job.recovery})"


def fired_reason(instant: int, now_ms: int) -> str:
    """Why an occurrence ran, with how late it was."""
    if now_ms - instant * 1000 < ON_TIME_MS:
        return "fired on time"
    return f"fired late by {_late(instant, now_ms)}"


def _late(instant: int, now_ms: int) -> str:
    return f"{(now_ms - instant * 1000) / 1000:.1f} s"


def _next_due(job: Job, instant: int) -> int:
    following = job.schedule.next_unix(instant)
    return NEVER if following is None else following


def first_due(job: Job, cursor: int) -> int:
    """The first instant after `cursor`, or NEVER."""
    return _next_due(job, cursor)


def start_delay_ms(job: Job, occurrence: str) -> int:
    """How long the runs of an occurrence are held back by the schedule's jitter and spread."""
    return jitter_ms(job.schedule, occurrence) + spread_ms(job.schedule, job.id)


def runs_of(job: Job, version: int, occurrence: str, instant: int, now_ms: int) -> Iterator[tuple[Task, Message]]:
    """The messages of an occurrence's runs, one per task, under the given version of the job."""
    for task in job.tasks:
        run = ids.run_id(occurrence, ids.task_id(job.id, task.name))
        slot = Slot(occurrence, job.id, version, instant, task.name)
        yield task, _message(job, task, run, now_ms, slot=slot)


def completion_of(job: Job, task: Task, occurrence: str, now_ms: int) -> Message:
    """The message of a job's on_complete; it belongs to no occurrence, since the one it is about has ended."""
    about = {"job": job.id, "occurrence": occurrence}
    return _message(job, task, ids.completion_run_id(occurrence), now_ms, metadata=about)


def _message(job: Job, task: Task, run: str, now_ms: int, **fields: Any) -> Message:
    options = wire_options(complete(task.options)) | {"retention_ms": round(job.history_s * 1000)}
    return compose(run, task.handler, now_ms, payload=task.payload, **options, **fields)
