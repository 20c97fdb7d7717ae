"""A cron expression compiled to tables: its readings of the wall clock, before any time zone.

Times of day are kept as two sorted tables, minutes of the day and seconds of the minute; days are looked up month by
month. A question is two bisections and a bit operation, whatever the expression.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from jobistemer.core.schedules.cron_days import days_of
from jobistemer.core.schedules.instants import DAY, MINUTE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jobistemer.core.schedules.cron_expression import CronFields

_MINUTES_PER_HOUR: Final = 60


class TimesOfDay:
    """The matching seconds of a day, from 0 to 86,399."""

    __slots__ = ("_minutes", "_seconds", "first", "last")

    def __init__(self, minutes: Sequence[int], seconds: Sequence[int]) -> None:
        self._minutes, self._seconds = minutes, seconds
        self.first = minutes[0] * MINUTE + seconds[0]
        self.last = minutes[-1] * MINUTE + seconds[-1]

    def at_or_after(self, time: int) -> int:
        """Return the first matching second that is not before `time`, which is not above `last`."""
        minute, second = divmod(time, MINUTE)
        place = bisect_left(self._minutes, minute)
        if self._minutes[place] == minute:
            if second <= self._seconds[-1]:
                return minute * MINUTE + self._seconds[bisect_left(self._seconds, second)]
            place += 1
        return self._minutes[place] * MINUTE + self._seconds[0]

    def at_or_before(self, time: int) -> int:
        """Return the last matching second that is not after `time`, which is not below `first`."""
        minute, second = divmod(time, MINUTE)
        place = bisect_right(self._minutes, minute) - 1
        if self._minutes[place] == minute:
            if second >= self._seconds[0]:
                return minute * MINUTE + self._seconds[bisect_right(self._seconds, second) - 1]
            place -= 1
        return self._minutes[place] * MINUTE + self._seconds[-1]

    def between(self, first: int, end: int) -> Iterator[int]:
        """Return the matching seconds in [first, end), in order."""
        low = bisect_left(self._minutes, first // MINUTE)
        high = bisect_right(self._minutes, (end - 1) // MINUTE)
        for minute in self._minutes[low:high]:
            for second in self._seconds:
                if first <= (time := minute * MINUTE + second) < end:
                    yield time


class WallTimes:
    """The readings of a wall clock that an expression names, in wall seconds."""

    __slots__ = ("_days", "_times")

    def __init__(self, fields: CronFields) -> None:
        self._days = days_of(fields.day_fields)
        self._times = _times_of_day(fields.hours, fields.minutes, fields.seconds)

    def at_or_after(self, wall: int) -> int | None:
        """Return the first reading that is not before `wall`, or None when there is none."""
        today, time = divmod(wall, DAY)
        if time > self._times.last:
            today, time = today + 1, 0
        day = self._days.at_or_after(today)
        if day is None:
            return None
        return day * DAY + (self._times.at_or_after(time) if day == today else self._times.first)

    def at_or_before(self, wall: int) -> int | None:
        """Return the last reading that is not after `wall`, or None when there is none."""
        today, time = divmod(wall, DAY)
        if time < self._times.first:
            today, time = today - 1, DAY - 1
        day = self._days.at_or_before(today)
        if day is None:
            return None
        return day * DAY + (self._times.at_or_before(time) if day == today else self._times.last)

    def between(self, first: int, end: int) -> Iterator[int]:
        """Return the readings in [first, end), lazily and in order."""
        for day in self._days.between(first // DAY, (end - 1) // DAY):
            midnight = day * DAY
            for time in self._times.between(max(first - midnight, 0), min(end - midnight, DAY)):
                yield midnight + time

    def days_between(self, first: int, end: int) -> Iterator[int]:
        """Return the days (since 1970-01-01) that match and meet the wall seconds [first, end), in order."""
        return self._days.between(first // DAY, (end - 1) // DAY)

    def __contains__(self, wall: int) -> bool:
        return self.at_or_after(wall) == wall


@lru_cache(maxsize=4096)
def _times_of_day(hours: tuple[int, ...], minutes: tuple[int, ...], seconds: tuple[int, ...]) -> TimesOfDay:
    table = array("H", [hour * _MINUTES_PER_HOUR + minute for hour in hours for minute in minutes])
    return TimesOfDay(table, seconds)
