"""Compare a cron expression with croniter, which RQ and arq use: each instant that only one of the two knows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import msgspec
from croniter import CroniterError, croniter

from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.schedules import AnySchedule, Cron

MAX_COMPARED = 10_000
"""How many instants of croniter are looked at, should it have far more than the schedule."""
ALL_DAYS = timedelta(days=400)
"""How far the comparison goes at least: over every change of the clock of a year."""


class EngineDifference(msgspec.Struct, frozen=True):
    """An instant at which one of the two engines is due, and the other is not. only_in: `jobistemer` or `croniter`."""

    at: datetime
    only_in: str


class EngineComparison(msgspec.Struct, frozen=True):
    """The comparison up to an instant; error: why croniter does not read the expression, empty when it does."""

    engine: str
    until: datetime
    compared: int
    differences: list[EngineDifference]
    error: str = ""


def compare_with_croniter(schedule: AnySchedule, start: datetime, until: datetime) -> EngineComparison:
    """Compare the instants of both engines after `start`, for 400 days at least. Raises InvalidSchedule.

    Instants of this package follow Debian's rule at a change of the clock (`dst`); croniter asks its own arithmetic.
    """
    if not isinstance(schedule, Cron):
        raise InvalidSchedule(
            "--beside croniter is for cron expressions; an interval or an instant has no other reading"
        )
    end = max(until, start + ALL_DAYS)
    ours = list(islice(schedule.between(start, end), MAX_COMPARED))
    last = end if len(ours) < MAX_COMPARED else ours[-1]
    try:
        theirs = _croniter_instants(schedule, start, last)
    except (CroniterError, ValueError, KeyError, IndexError) as error:
        return EngineComparison("croniter", last, 0, [], f"croniter does not read it: {error}")
    found = [*((at, "jobistemer") for at in set(ours) - theirs), *((at, "croniter") for at in theirs - set(ours))]
    return EngineComparison("croniter", last, len(ours), [EngineDifference(at, engine) for at, engine in sorted(found)])


def _croniter_instants(schedule: Cron, start: datetime, last: datetime) -> set[datetime]:
    local = start.astimezone(ZoneInfo(schedule.timezone))
    engine = croniter(schedule.expression, local, ret_type=datetime, second_at_beginning=True)
    found: set[datetime] = set()
    while len(found) < 2 * MAX_COMPARED:
        at = engine.get_next(datetime).astimezone(UTC)
        if at > last:
            break
        found.add(at)
    return found
