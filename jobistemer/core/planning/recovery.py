"""Recovery of missed instants: those that were due longer ago than the grace period.

Each strategy is a function of the missed instants, the policy and now. Every missed instant gets its row in the
history, whatever the strategy; the row says how the instant was recovered.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

import msgspec

from jobistemer.core import ids
from jobistemer.core.jobs.job import Job, Recovery
from jobistemer.core.schedules import AnyCalendar
from jobistemer.core.states import OccurrenceState

MAX_STEPS = 10_000
"""How many instants are visited backwards, and then forwards, to find the first and the last one that is executed."""


class Backlog(msgspec.Struct, frozen=True):
    """The missed instants of one job, reduced to the three facts that a decision needs; all are Unix seconds.

    last: the last missed instant that no calendar excludes. first_run: the first instant that a bounded window still
    executes. since: the cursor before the first missed instant, where a compressed run begins to stand for others.
    """

    last: int
    first_run: int
    since: int


def find_backlog(job: Job, cursor: int, boundary: int, now_ms: int, since: int | None = None) -> Backlog:
    """Find the missed instants: those after `cursor` and before `boundary`, the second where the grace period begins.

    since: where compressing began, when earlier rows were compressed already.
    """
    last, first_run = cursor, now_ms // 1000 + 1
    wanted = job.recovery_limit if job.recovery is Recovery.BOUNDED_WINDOW else 0
    # From the end backwards: a minutely job that was down for years has millions of missed instants, and the strategies
    # need only the last few. The bound is for calendars that exclude nearly everything.
    instant = _previous_instant(job, boundary)
    for _ in range(MAX_STEPS):
        if instant is None or instant <= cursor:
            break
        if now_ms - instant * 1000 > job.recovery_back_s * 1000:
            wanted = 0
        if not is_excluded(job, instant):
            last = max(last, instant)
            if wanted > 0:
                first_run, wanted = instant, wanted - 1
        if last > cursor and wanted <= 0:
            break
        instant = _previous_instant(job, instant)
    else:
        if last == cursor and instant is not None:
            last = _find_last_ahead(job, cursor, instant)
    return Backlog(last, first_run, cursor if since is None else since)


def _find_last_ahead(job: Job, cursor: int, until: int) -> int:
    """Find the last instant after `cursor` that no calendar excludes; beyond `until` they exclude all of them.

    Only MAX_STEPS instants are visited. Of those that a plan decides, only one that has none behind it within them is
    the last. Returns the cursor when there is none.
    """
    ahead = islice(job.schedule.unix_between(cursor, until), MAX_STEPS)
    return max((each for each in ahead if not is_excluded(job, each)), default=cursor)


def recover(job: Job, instant: int, missed: Backlog, now_ms: int) -> tuple[OccurrenceState, str]:
    """Return the state that one missed instant gets, and the reason."""
    late = f"{(now_ms - instant * 1000) / 1000:.1f} s"
    fires = {
        Recovery.EXECUTE_ALL: True,
        Recovery.EXECUTE_LAST: instant >= missed.last,
        Recovery.MARK_AS_MISSED: False,
        Recovery.BOUNDED_WINDOW: instant >= missed.first_run,
        Recovery.COMPRESSED: instant >= missed.last,
    }[job.recovery]
    if fires:
        return OccurrenceState.PENDING, f"fired late by {late} (recovery {job.recovery})"
    last = ids.occurrence_id(job.id, missed.last)
    if job.recovery is Recovery.COMPRESSED:
        return OccurrenceState.COMPRESSED, f"compressed into {last}; found {late} late"
    why = {
        Recovery.EXECUTE_LAST: f"{last} runs in its place",
        Recovery.MARK_AS_MISSED: "no ticker ran",
        Recovery.BOUNDED_WINDOW: f"only the last {job.recovery_limit} within {job.recovery_back_s:g} s are run",
    }[job.recovery]
    return OccurrenceState.MISSED, f"missed: found {late} late; {why}"


def covered_instants(job: Job, since: int, instant: int) -> tuple[datetime, ...]:
    """Return the instants that a compressed run stands for: those after `since` up to its own `instant`."""
    instants = job.schedule.unix_between(since, instant)
    return tuple(datetime.fromtimestamp(each, UTC) for each in instants if find_excluding_calendar(job, each) is None)


def find_excluding_calendar(job: Job, instant: int) -> AnyCalendar | None:
    """Return the first calendar of the job that excludes an instant, or None."""
    at = datetime.fromtimestamp(instant, UTC)
    return next((calendar for calendar in job.calendars if calendar.excludes(at)), None)


def is_excluded(job: Job, instant: int) -> bool:
    """Return whether a calendar of the job excludes an instant."""
    return bool(job.calendars) and find_excluding_calendar(job, instant) is not None


def _previous_instant(job: Job, instant: int) -> int | None:
    found = job.schedule.previous_before(datetime.fromtimestamp(instant, UTC))
    return None if found is None else int(found.timestamp())
