"""A cron expression that has been read: the values of its fields, and the two rules its text decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from jobistemer.core.schedules.cron_items import DAY_OF_MONTH, MONTH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobistemer.core.schedules.cron_items import Field

_WEEK: Final = 7


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
    # The fields as written, by name, for whoever describes them.
    texts: Mapping[Field, str]

    def names_every_day(self) -> bool:
        """Return whether no field restricts the day, so that nothing has to be looked up."""
        every_date = len(self.day_of_month.days) == DAY_OF_MONTH.high
        every_weekday = len(self.day_of_week.weekdays) == _WEEK
        both = every_date or every_weekday if self.either_day else every_date and every_weekday
        return both and len(self.months) == MONTH.high and self.years is None
