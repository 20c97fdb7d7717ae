"""The plan of one job: which instants fire, which were missed, and when a ticker looks at the job again.

    due = schedule.between(cursor, now); an instant that is due within the grace period fires; an older one was missed
    and goes through the job's recovery strategy; then the cursor moves on.

The same rule covers on-time firing, downtime and start-up. A plan is a function of (job, cursor, now). The script
`claim_occurrence` applies it instant by instant, together with the cursor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import msgspec

from jobistemer.core import ids
from jobistemer.core.jobs.job import Job, Recovery, Task
from jobistemer.core.jobs.options import Options, complete_options
from jobistemer.core.planning.recovery import Backlog, find_backlog, find_excluding_calendar, recover
from jobistemer.core.runs.message import Message, TaskRef, compose_message, drop_defaults, to_message_fields
from jobistemer.core.states import OccurrenceState

NEVER = 9_000_000_000_000
"""The due mark of a job that has no further instant: Unix seconds far beyond any schedule."""
PACE = 10
"""The bursts of catching up in one second: a tenth of the allowed instants at once, then a pause."""
ON_TIME_MS = 1_000
"""The lateness in ms up to which the reason says "on time"; the exact lateness is recorded anyway."""


class Decision(msgspec.Struct, frozen=True):
    """One instant, the state that it gets, and the reason.

    expected: the cursor that the decision was made from. look_at_ms: when a ticker looks at the job next, which is its
    next instant unless catching up is throttled. since: for a compressed run, the cursor before the first instant that
    the run stands for.
    """

    instant: int
    expected: int
    look_at_ms: int
    state: OccurrenceState
    reason: str
    since: int | None = None


def plan(job: Job, cursor: int, now_ms: int, limit: int, since: int | None = None) -> list[Decision]:
    """Decide the instants of `job` after `cursor` that are due at `now_ms`, the earliest `limit` of them.

    since: where compressing began, when earlier rows were compressed into an occurrence that is still to come.
    """
    next_unix, now = job.schedule.next_unix, now_ms // 1000
    instants: list[int] = []
    instant = next_unix(cursor)
    while instant is not None and instant <= now and len(instants) < limit:
        instants.append(instant)
        instant = next_unix(instant)
    if not instants:
        return []
    # The first second that is not missed, rounded up: an instant is missed from one ms beyond its grace period on.
    boundary = -((round(job.grace_s * 1000) - now_ms) // 1000)
    missed = find_backlog(job, cursor, boundary, now_ms, since) if instants[0] < boundary else None
    behind = NEVER if instant is None else instant
    steps = zip([cursor, *instants], instants, [*instants[1:], behind], strict=False)
    # Lazy, because a pause in catching up may end the plan after the first of a hundred instants.
    decisions: Iterable[Decision] = (
        _decide(job, instant, expected, following, missed if instant < boundary else None, now_ms)
        for expected, instant, following in steps
    )
    if job.recovery is Recovery.COMPRESSED:
        decisions = _carry_since(decisions, since if missed is None else missed.since)
    return list(decisions) if missed is None else _pace(job, decisions, boundary, now_ms)


def _decide(job: Job, instant: int, expected: int, following: int, missed: Backlog | None, now_ms: int) -> Decision:
    calendar = find_excluding_calendar(job, instant) if job.calendars else None
    if calendar is not None:
        state, reason = OccurrenceState.SKIPPED, f"excluded by calendar {calendar.name}"
    elif missed is None:
        late_ms = now_ms - instant * 1000
        state, reason = OccurrenceState.PENDING, "fired on time"
        if late_ms >= ON_TIME_MS:
            reason = f"fired late by {late_ms / 1000:.1f} s"
    else:
        state, reason = recover(job, instant, missed, now_ms)
    return Decision(instant, expected, following * 1000, state, reason)


def _carry_since(decisions: Iterable[Decision], since: int | None) -> Iterator[Decision]:
    for decision in decisions:
        if since is None or decision.state not in (OccurrenceState.PENDING, OccurrenceState.COMPRESSED):
            yield decision
            continue
        yield msgspec.structs.replace(decision, since=since)
        # The first run stands for the rows that were compressed before it, also when it turns out to be on time.
        since = None if decision.state is OccurrenceState.PENDING else since


def _pace(job: Job, decisions: Iterable[Decision], boundary: int, now_ms: int) -> list[Decision]:
    """Return the decisions up to the next pause in catching up."""
    burst = max(1, job.catch_up_per_s // PACE)
    paced: list[Decision] = []
    fired = 0
    for decision in decisions:
        fired += decision.instant < boundary and decision.state is OccurrenceState.PENDING
        if fired >= burst:
            # The pause stands in the due mark, where every ticker sees it: a pause that one ticker kept to itself
            # would be ignored by the others, and N tickers would catch up N times as fast as the job allows.
            look_at_ms = max(decision.look_at_ms, now_ms + round(fired / job.catch_up_per_s * 1000))
            return [*paced, msgspec.structs.replace(decision, look_at_ms=look_at_ms)]
        paced.append(decision)
    return paced


def first_due(job: Job, cursor: int) -> int:
    """Return the first instant after `cursor`, or NEVER."""
    following = job.schedule.next_unix(cursor)
    return NEVER if following is None else following


def build_runs(
    job: Job, version: int, instant: int, now_ms: int, since: int | None = None, occurrence: str = ""
) -> Iterator[tuple[Task, Message]]:
    """Build the messages of an occurrence's runs, one per task, under the given version of the job.

    occurrence: its id where that is known already, or where it stands for its instant once more.
    """
    job_id, alone = job.id, job.stands_alone
    occurrence = occurrence or ids.occurrence_id(job_id, instant)
    for task in job.tasks:
        run = ids.run_id(occurrence, ids.task_id(job_id, task.name))
        task_ref = TaskRef(occurrence, job_id, version, instant, task.name, since, alone)
        yield task, _build_message(job, task, run, now_ms, task_ref=task_ref)


def build_completion_run(job: Job, task: Task, occurrence: str, now_ms: int) -> Message:
    """Build the message of a job's on_complete; its run belongs to no occurrence, since that one has ended."""
    about = {"job": job.id, "occurrence": occurrence}
    return _build_message(job, task, ids.completion_run_id(occurrence), now_ms, metadata=about)


def _build_message(job: Job, task: Task, run: str, now_ms: int, **fields: Any) -> Message:
    options = _find_message_fields(task.options, round(job.history_s * 1000))
    return compose_message(run, task.handler, now_ms, payload=task.payload, **options, **fields)


@lru_cache(maxsize=4096)
def _find_message_fields(options: Options, retention_ms: int) -> dict[str, Any]:
    """Return the fields of a message that differ from their defaults; most jobs have the same few."""
    return drop_defaults(**(to_message_fields(complete_options(options)) | {"retention_ms": retention_ms}))
