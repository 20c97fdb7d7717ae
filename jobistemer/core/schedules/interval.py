"""Interval schedules: every so often, counted from an anchor.

The nth instant is computed from the anchor and never from the instant before it, so month ends do not drift: 31 January
+ 1 month is 28 February, + 2 months is 31 March.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.schedules.delays import check_bound
from jobistemer.core.schedules.instants import (
    DAY,
    EPOCH_DAY,
    FIRST_UNIX,
    LAST_UNIX,
    Due,
    ScheduleQueries,
    check_window,
    instant_at,
    limit_to_window,
    to_utc,
    unix_floor,
    walk,
)
from jobistemer.core.schedules.iso8601 import Duration, duration_text, read_repetition
from jobistemer.core.schedules.zones import Zone, zone_of, zone_of_offset

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    # The argument may be either; the field itself always holds the text.
    IntervalText = str | timedelta
else:
    IntervalText = str

_MONTHS_PER_YEAR: Final = 12
# The mean Gregorian month, 146,097 days over 4,800 months: exact over the calendar's whole cycle.
_MEAN_MONTH: Final = 2_629_746
# An instant is never further from its mean place than this: month lengths, leap days and offsets together.
_DRIFT: Final = 7 * DAY
# More indices than there are seconds to count.
_UNBOUNDED: Final = LAST_UNIX - FIRST_UNIX


class Interval(
    msgspec.Struct, ScheduleQueries, frozen=True, omit_defaults=True, forbid_unknown_fields=True,
    tag_field="kind", tag="interval",
):  # fmt: skip
    """A period, counted from an anchor, which is itself due.

    `expression`: an ISO 8601 duration (`PT6H`, `P1M`), a repeating interval (`R5/2026-01-31T00:00:00Z/P1M`,
    `R/start/end`, `R/duration/end`), or a timedelta, which is elapsed time. Years to days are steps of the wall
    clock's date in `timezone` (without one in the offset of the start or end, else in UTC), hours to seconds are
    elapsed time. `Rn` means n instants. `anchor`: where counting begins when the expression does not say; without
    either, ask `anchored`. `start`, `end`: a window, both ends included. `jitter`, `spread`: see Cron.

    Raises InvalidSchedule for any other value.
    """

    expression: IntervalText
    timezone: str = "UTC"
    anchor: datetime | None = None
    start: datetime | None = None
    end: datetime | None = None
    jitter: int = 0
    spread: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.expression, timedelta):
            msgspec.structs.force_setattr(self, "expression", duration_text(self.expression))
        zone_of(self.timezone)
        repetition = read_repetition(str(self.expression), self.timezone)
        check_bound("jitter", self.jitter)
        check_bound("spread", self.spread)
        start, end = check_window(self.start, self.end)
        msgspec.structs.force_setattr(self, "start", start)
        msgspec.structs.force_setattr(self, "end", end)
        if self.anchor is not None:
            if repetition.start is not None or repetition.end is not None:
                raise InvalidSchedule(f"anchor {self.anchor} is given, but {show(self.expression)} has its own")
            msgspec.structs.force_setattr(self, "anchor", _whole_seconds(to_utc(self.anchor, "anchor")))

    def anchored(self, at: datetime) -> Interval:
        """Return this interval with `at`, cut to whole seconds, as its anchor, unless it has one."""
        if self.is_anchored():
            return self
        return msgspec.structs.replace(self, anchor=instant_at(unix_floor(at)))

    def is_anchored(self) -> bool:
        """Return whether the start of counting is known."""
        repetition = read_repetition(str(self.expression), self.timezone)
        return not (self.anchor is None and repetition.start is None and repetition.end is None)

    def _due(self) -> Due:
        return _compile(self)

    def day_key(self, first: int) -> Hashable | None:
        """Return a key of the 24 hours from `first` on (unix seconds), for an interval of elapsed time.

        The key is the distance of the first instant from `first`.
        """
        return None if self.start or self.end else _progression(self).phase(first, first + DAY)


class Progression:
    """Instants origin + n × duration for the indices n of a range, as a due set."""

    __slots__ = ("_day", "_duration", "_highest", "_lowest", "_mean", "_origin", "_time", "_zone")

    def __init__(self, origin: int, duration: Duration, zone: Zone, indices: tuple[int, int]) -> None:
        self._origin, self._duration, self._zone = origin, duration, zone
        self._day, self._time = divmod(origin + zone.offset_at(origin), DAY)
        self._mean = duration.months * _MEAN_MONTH + duration.days * DAY + duration.seconds
        # The origin itself always belongs; the rest as far as dates can be written.
        self._lowest = min(0, max(indices[0], -((origin - FIRST_UNIX - _DRIFT) // self._mean)))
        self._highest = max(0, min(indices[1], (LAST_UNIX - _DRIFT - origin) // self._mean))

    def next_unix(self, after: int) -> int | None:
        """Return the first instant later than `after`, or None."""
        index = max(self._index_of(after) + 1, self._lowest)
        return None if index > self._highest else self._at(index)

    def previous_unix(self, before: int) -> int | None:
        """Return the last instant earlier than `before`, or None."""
        index = min(self._index_of(before - 1), self._highest)
        return None if index < self._lowest else self._at(index)

    def unix_between(self, start: int, end: int) -> Iterator[int]:
        """Return the instants in (start, end], in order."""
        return walk(self, start, end)

    def phase(self, first: int, end: int) -> int | None:
        """Return how many seconds after `first` the instants begin, if they go on at one distance up to `end`.

        Returns None if they do not.
        """
        duration = self._duration
        if not duration.is_elapsed_time():
            return None
        inside = self._index_of(first) >= self._lowest and self._index_of(end) < self._highest
        return (self._origin - first) % duration.seconds if inside else None

    def _at(self, index: int) -> int:
        months, days, seconds = self._duration
        if index == 0 or not (months or days):
            return self._origin + index * seconds
        day = _plus_months(self._day, index * months) + index * days
        return self._zone.unix_of(day * DAY + self._time) + index * seconds

    def _index_of(self, unix: int) -> int:
        """Return the largest index whose instant is not later than `unix`."""
        index = (min(max(unix, FIRST_UNIX), LAST_UNIX) - self._origin) // self._mean
        if self._duration.is_elapsed_time():
            return index
        # Months have no fixed length: the mean leads to the neighbourhood, the last steps are walked.
        index = min(max(index, self._lowest - 1), self._highest)
        while index >= self._lowest and self._at(index) > unix:
            index -= 1
        while index < self._highest and self._at(index + 1) <= unix:
            index += 1
        return index


@lru_cache(maxsize=16384)
def _compile(interval: Interval) -> Due:
    return limit_to_window(_progression(interval), interval.start, interval.end)


def _progression(interval: Interval) -> Progression:
    times, duration, start, end, offset = read_repetition(str(interval.expression), interval.timezone)
    zone = find_zone(interval.timezone, offset)
    last = _UNBOUNDED if times is None else times - 1
    if end is not None:
        return Progression(end, duration, zone, (-last, 0))
    if interval.anchor is not None:
        start = unix_floor(interval.anchor)
    if start is None:
        raise InvalidSchedule(
            f"interval {show(interval.expression)} has no anchor to count from: give anchor=,"
            " write R/start/duration, or use anchored(schedule, at)"
        )
    return Progression(start, duration, zone, (0, last))


def find_zone(timezone: str, offset_s: int) -> Zone:
    """Return the zone by whose dates an interval counts: its own, else that of the offset in its start or end."""
    return zone_of(timezone) if timezone != "UTC" or not offset_s else zone_of_offset(offset_s)


def _plus_months(day: int, months: int) -> int:
    """Return the day `months` months away, or the last of its month where that day is missing."""
    if not months:
        return day
    origin = date.fromordinal(day + EPOCH_DAY)
    year, month = divmod(origin.year * _MONTHS_PER_YEAR + origin.month - 1 + months, _MONTHS_PER_YEAR)
    length = monthrange(year, month + 1)[1]
    return date(year, month + 1, min(origin.day, length)).toordinal() - EPOCH_DAY


def _whole_seconds(instant: datetime) -> datetime:
    if instant.microsecond:
        raise InvalidSchedule(f"anchor {instant.isoformat()} has a fraction of a second")
    return instant.astimezone(UTC)
