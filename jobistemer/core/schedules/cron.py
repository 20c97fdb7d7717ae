"""Cron schedules: an expression, a time zone, a window and a rule for clock changes."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final, get_args

import msgspec

from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.schedules.cron_parser import DISTINCT, read_cron
from jobistemer.core.schedules.cron_table import WallTimes
from jobistemer.core.schedules.delays import check_bound
from jobistemer.core.schedules.instants import DAY, Due, ScheduleQueries, check_window, limit_to_window, unix_floor
from jobistemer.core.schedules.walltime import Dst, WallClockDue, clock_rule
from jobistemer.core.schedules.zones import LONGEST_JUMP, zone_of

if TYPE_CHECKING:
    from collections.abc import Hashable


_RULES: Final = get_args(Dst)


class Cron(
    msgspec.Struct, ScheduleQueries, frozen=True, omit_defaults=True, forbid_unknown_fields=True,
    tag_field="kind", tag="cron",
):  # fmt: skip
    """A cron expression in a time zone.

    `expression`: five fields, six with seconds first, seven with the year (1970–2099) last, or an @ name; the grammar
    is in `cron_parser`. `timezone`: a name of the tz database. `start`, `end`: a window, both ends included, as
    timezone-aware datetimes. `jitter`, `spread`: bounds in seconds for the delay of an execution; they do not change
    what is due. `dst`: the rule for readings that the local clock skips or repeats: "shift" (Debian's cron), "skip",
    "first" or "both"; see `walltime`.

    Raises InvalidSchedule for any other value, and for a date that never comes.
    """

    expression: str
    timezone: str = "UTC"
    start: datetime | None = None
    end: datetime | None = None
    jitter: int = 0
    spread: int = 0
    dst: Dst = "shift"

    def __post_init__(self) -> None:
        read_cron(self.expression)
        zone_of(self.timezone)
        if self.dst not in _RULES:
            raise InvalidSchedule(f"dst {show(self.dst)} is none of {', '.join(_RULES)}")
        check_bound("jitter", self.jitter)
        check_bound("spread", self.spread)
        start, end = check_window(self.start, self.end)
        msgspec.structs.force_setattr(self, "start", start)
        msgspec.structs.force_setattr(self, "end", end)

    def _due(self) -> Due:
        return _compile(self)

    def day_key(self, first: int) -> Hashable | None:
        """Return a key of the 24 hours from `first` on (unix seconds): with the same key they have the same instants.

        Where no clock changes nearby, the matching days of the wall clock are the key; elsewhere there is none.
        """
        end = first + DAY
        if (self.start and unix_floor(self.start) > first - 1) or (self.end and unix_floor(self.end) < end):
            return None
        offsets = {span.offset for span in zone_of(self.timezone).spans(first - LONGEST_JUMP, end + LONGEST_JUMP)}
        if len(offsets) > 1:
            return None
        wall = first + offsets.pop()
        return tuple(day * DAY - wall for day in wall_times(self.expression).days_between(wall, wall + DAY))


@lru_cache(maxsize=DISTINCT)
def _compile(cron: Cron) -> Due:
    fields = read_cron(cron.expression)
    rule = clock_rule(cron.dst, follows_elapsed_time=fields.follows_elapsed_time)
    due = WallClockDue(wall_times(cron.expression), zone_of(cron.timezone), rule)
    return limit_to_window(due, cron.start, cron.end)


@lru_cache(maxsize=DISTINCT)
def wall_times(expression: str) -> WallTimes:
    """Return the readings of a wall clock that an expression names, compiled to tables."""
    return WallTimes(read_cron(expression))
