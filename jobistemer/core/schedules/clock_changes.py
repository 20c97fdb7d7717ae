"""Changes of a zone's clock, and their effect on due instants, for displays."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from jobistemer.core.schedules.cron import Cron, wall_times
from jobistemer.core.schedules.instants import instant_at, unix_floor
from jobistemer.core.schedules.zones import zone_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobistemer.core.schedules.kinds import AnySchedule
    from jobistemer.core.schedules.zones import Span


class ClockChange(msgspec.Struct, frozen=True):
    """An instant at which a zone's clock jumps, with the offsets from UTC in seconds on both sides."""

    at: datetime
    before: int
    after: int

    def __str__(self) -> str:
        unix = unix_floor(self.at)
        return f"clock goes from {_clock(unix + self.before)} to {_clock(unix + self.after)}"


def find_clock_changes(timezone: str, start: datetime, end: datetime) -> Iterator[ClockChange]:
    """Find the changes of a zone's clock in (start, end], in order. Raises InvalidSchedule."""
    zone = zone_of(timezone)
    for unix in zone.changes(unix_floor(start), unix_floor(end) + 1):
        yield ClockChange(instant_at(unix), zone.offset_at(unix - 1), zone.offset_at(unix))


def describe_shift(schedule: AnySchedule, instant: datetime, timezone: str) -> str:
    """Describe the effect of a change of the clock on a due instant: moved, first or second pass.

    Returns an empty text where there is none.
    """
    unix = unix_floor(instant)
    zone = zone_of(timezone)
    span = zone.span_at(unix)
    wall = unix + span.offset
    if isinstance(schedule, Cron) and wall not in wall_times(schedule.expression):
        return _describe_move(schedule, span)
    if wall < span.fresh:
        return f"second pass of {_clock(wall)}"
    following = zone.span_at(span.end)
    if wall >= following.start + following.offset:
        return f"first pass of {_clock(wall)}"
    return ""


def _describe_move(cron: Cron, span: Span) -> str:
    lost = wall_times(cron.expression).at_or_after(span.fresh)
    return "" if lost is None else f"moved: {_clock(lost)} does not exist"


def _clock(wall: int) -> str:
    moment = instant_at(wall)
    return f"{moment:%H:%M:%S}" if moment.second else f"{moment:%H:%M}"
