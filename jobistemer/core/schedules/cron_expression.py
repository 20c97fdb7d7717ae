"""A cron expression as a value: its fields, the values of each, and the two rules that its text decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


_WEEK: Final = 7


class Field(NamedTuple):
    """One field of a cron expression: its name, its range, and names for its values."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")

SECOND: Final = Field("second", 0, 59)
MINUTE: Final = Field("minute", 0, 59)
HOUR: Final = Field("hour", 0, 23)
DAY_OF_MONTH: Final = Field("day of month", 1, 31)
MONTH: Final = Field("month", 1, 12, MONTHS)
DAY_OF_WEEK: Final = Field("day of week", 0, 7, WEEKDAYS)
YEAR: Final = Field("year", 1970, 2099)

FIVE_FIELDS: Final = (MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK)
FIELDS_BY_COUNT: Final = {
    5: FIVE_FIELDS,
    6: (SECOND, *FIVE_FIELDS),
    7: (SECOND, *FIVE_FIELDS, YEAR),
}


class DayOfMonth(NamedTuple):
    """The days of a month that a day-of-month field names."""

    days: tuple[int, ...]
    last: bool
    last_weekday: bool
    nearest_weekday_to: tuple[int, ...]


class DayOfWeek(NamedTuple):
    """The weekdays (Sunday is 0) that a day-of-week field names: each, the nth, the last of a month."""

    weekdays: tuple[int, ...]
    nth: tuple[tuple[int, int], ...]
    last: tuple[int, ...]


class DayFields(NamedTuple):
    """The fields of a cron expression that decide its days; many expressions share them.

    either_day: by Vixie's rule of two restricted day fields, a day that matches either is due.
    """

    day_of_month: DayOfMonth
    months: tuple[int, ...]
    day_of_week: DayOfWeek
    years: tuple[int, ...] | None
    either_day: bool

    def names_every_day(self) -> bool:
        """Return whether no field restricts the day, so that nothing has to be looked up."""
        every_date = len(self.day_of_month.days) == DAY_OF_MONTH.high
        every_weekday = len(self.day_of_week.weekdays) == _WEEK
        both = every_date or every_weekday if self.either_day else every_date and every_weekday
        return both and len(self.months) == MONTH.high and self.years is None


class CronFields(NamedTuple):
    """A cron expression that has been read: the values of each field, sorted."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    day_of_month: DayOfMonth
    months: tuple[int, ...]
    day_of_week: DayOfWeek
    years: tuple[int, ...] | None
    # Vixie's rule: with two restricted day fields, a day that matches either of them is due.
    either_day: bool
    # Debian's rule: a time field that begins with a star makes an interval expression.
    follows_elapsed_time: bool
    # The fields as written, for descriptions.
    texts: Mapping[Field, str]

    @property
    def day_fields(self) -> DayFields:
        """The fields that decide the days."""
        return DayFields(self.day_of_month, self.months, self.day_of_week, self.years, self.either_day)
