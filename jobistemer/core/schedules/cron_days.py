"""The days that a cron expression names: day of month, month, day of week and year, for any month.

The matching days of a month depend on two things only: the weekday on which the month begins and its length. There are
28 such pairs, so the answers are kept, one bit per day (bit 1 is the first of the month).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from calendar import monthrange
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from jobistemer.core.schedules.instants import EPOCH_DAY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jobistemer.core.schedules.cron_expression import DayFields, DayOfMonth, DayOfWeek

# The calendar repeats after 400 years: what is not found within them does not exist.
CALENDAR_CYCLE: Final = 400

# The lengths that a month may have, January first.
_LENGTHS: Final = ((31,), (29, 28), (31,), (30,), (31,), (30,), (31,), (31,), (30,), (31,), (30,), (31,))
_SATURDAY: Final = 6
_WEEK: Final = 7


class MonthShape(NamedTuple):
    """The two facts of a month that decide its matching days; weekdays count from Sunday, 0."""

    first_weekday: int
    length: int


class Days:
    """The matching days, as numbers of days since 1970-01-01. exist: whether any day of any year matches."""

    __slots__ = ("_every", "_fields", "_masks", "_months", "_years", "exist")

    def __init__(self, fields: DayFields) -> None:
        self._fields = fields
        self._every = fields.names_every_day()
        self._masks: dict[MonthShape, int] = {}
        self._months = fields.months
        self._years = fields.years
        self.exist = self._are_there()

    def _are_there(self) -> bool:
        # Every month falls on every weekday in some year, so this is right for all years together ...
        in_some_year = any(
            _matching_days(self._fields, MonthShape(weekday, length))
            for month in self._months
            for length in _LENGTHS[month - 1]
            for weekday in range(_WEEK)
        )
        # ... and where years are named, they are few enough to look.
        return in_some_year and (self._years is None or self.at_or_after(0) is not None)

    def at_or_after(self, day: int) -> int | None:
        """Return the first matching day that is not before `day`; None when there is none."""
        if self._every:
            return day
        when = date.fromordinal(day + EPOCH_DAY)
        left = self._mask(when.year, when.month) >> when.day
        if left:
            return day + _lowest_bit(left)
        return self._first_day_of(self._months_after(when.year, when.month))

    def at_or_before(self, day: int) -> int | None:
        """Return the last matching day that is not after `day`; None when there is none."""
        if self._every:
            return day
        when = date.fromordinal(day + EPOCH_DAY)
        left = self._mask(when.year, when.month) & ((2 << when.day) - 1)
        if left:
            return day - when.day + _highest_bit(left)
        return self._last_day_of(self._months_before(when.year, when.month))

    def between(self, first: int, last: int) -> Iterator[int]:
        """Return the matching days from `first` to `last`, both included, in order."""
        day = self.at_or_after(first)
        while day is not None and day <= last:
            yield day
            day = self.at_or_after(day + 1)

    def _months_after(self, year: int, month: int) -> Iterator[tuple[int, int]]:
        yield from ((year, later) for later in self._months if later > month)
        for later_year in self._years_after(year):
            yield from ((later_year, later) for later in self._months)

    def _months_before(self, year: int, month: int) -> Iterator[tuple[int, int]]:
        yield from ((year, earlier) for earlier in reversed(self._months) if earlier < month)
        for earlier_year in reversed(self._years_before(year)):
            yield from ((earlier_year, earlier) for earlier in reversed(self._months))

    def _years_after(self, year: int) -> Sequence[int]:
        if self._years is None:
            return range(year + 1, min(year + CALENDAR_CYCLE, date.max.year) + 1)
        return self._years[bisect_right(self._years, year) :]

    def _years_before(self, year: int) -> Sequence[int]:
        if self._years is None:
            return range(max(year - CALENDAR_CYCLE, date.min.year), year)
        return self._years[: bisect_left(self._years, year)]

    def _first_day_of(self, months: Iterator[tuple[int, int]]) -> int | None:
        for year, month in months:
            mask = self._mask(year, month)
            if mask:
                return _day_number(year, month, _lowest_bit(mask))
        return None

    def _last_day_of(self, months: Iterator[tuple[int, int]]) -> int | None:
        for year, month in months:
            mask = self._mask(year, month)
            if mask:
                return _day_number(year, month, _highest_bit(mask))
        return None

    def _mask(self, year: int, month: int) -> int:
        if month not in self._months or (self._years is not None and year not in self._years):
            return 0
        shape = shape_of(year, month)
        mask = self._masks.get(shape)
        if mask is None:
            mask = self._masks[shape] = _matching_days(self._fields, shape)
        return mask


@lru_cache(maxsize=4096)
def days_of(fields: DayFields) -> Days:
    """Return the matching days; expressions with the same days share them and what has been computed of them."""
    return Days(fields)


@lru_cache(maxsize=12 * CALENDAR_CYCLE)
def shape_of(year: int, month: int) -> MonthShape:
    """Return the weekday of the first of a month (Sunday is 0) and the month's length."""
    first, length = monthrange(year, month)
    return MonthShape((first + 1) % _WEEK, length)


def _matching_days(fields: DayFields, shape: MonthShape) -> int:
    by_date = _days_by_date(fields.day_of_month, shape)
    by_weekday = _days_by_weekday(fields.day_of_week, shape)
    return by_date | by_weekday if fields.either_day else by_date & by_weekday


def _days_by_date(field: DayOfMonth, shape: MonthShape) -> int:
    days = [day for day in field.days if day <= shape.length]
    days += [_nearest_weekday(day, shape) for day in field.nearest_weekday_to if day <= shape.length]
    if field.last:
        days.append(shape.length)
    if field.last_weekday:
        days.append(_nearest_weekday(shape.length, shape))
    return _mask_of(days)


def _days_by_weekday(field: DayOfWeek, shape: MonthShape) -> int:
    days = [day for weekday in field.weekdays for day in _weekdays_in(weekday, shape)]
    days += [_weekdays_in(weekday, shape)[-1] for weekday in field.last]
    for weekday, nth in field.nth:
        days += _weekdays_in(weekday, shape)[nth - 1 : nth]
    return _mask_of(days)


def _weekdays_in(weekday: int, shape: MonthShape) -> range:
    return range((weekday - shape.first_weekday) % _WEEK + 1, shape.length + 1, _WEEK)


def _nearest_weekday(day: int, shape: MonthShape) -> int:
    """Return the Monday to Friday nearest to a day, in the same month (Quartz's W)."""
    weekday = (shape.first_weekday + day - 1) % _WEEK
    if weekday == _SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == 0:
        return day + 1 if day < shape.length else day - 2
    return day


def _mask_of(days: list[int]) -> int:
    mask = 0
    for day in days:
        mask |= 1 << day
    return mask


def _lowest_bit(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def _highest_bit(mask: int) -> int:
    return mask.bit_length() - 1


def _day_number(year: int, month: int, day: int) -> int:
    return date(year, month, day).toordinal() - EPOCH_DAY
