"""A cron expression in words: when in the day, on which days, in which months and years."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from jobistemer.core.schedules.cron_expression import DAY_OF_MONTH, DAY_OF_WEEK, MONTH
from jobistemer.core.schedules.cron_parser import read_cron
from jobistemer.core.schedules.english import join_runs, join_words, ordinal, repeat_unit, step_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobistemer.core.schedules.cron_expression import CronFields, DayOfMonth, DayOfWeek, Field

_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_WEEKDAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_FULL_HOUR: Final = 60
_FULL_DAY: Final = 24
_MAX_TIMES: Final = 6
_SIXTY: Final = 60


def describe_cron(expression: str) -> str:
    """Describe an expression in words, such as `at 02:00, Monday to Friday`. Raises InvalidSchedule."""
    fields = read_cron(expression)
    parts = (_times(fields), _days(fields), _months(fields), _years(fields))
    return ", ".join(part for part in parts if part)


def _times(fields: CronFields) -> str:
    if _are_few(fields):
        return f"at {join_words(_clocks(fields))}"
    if len(fields.seconds) > 1:
        return _within(_steps(fields.seconds, "second", _SIXTY), _minutes_of(fields))
    at_second = f", at second {fields.seconds[0]}" if fields.seconds != (0,) else ""
    return f"{_minutes_past(fields)}{at_second}"


def _are_few(fields: CronFields) -> bool:
    """Return whether the times of day are better written out: a few, or one each in hours far apart."""
    per_hour = len(fields.seconds) * len(fields.minutes)
    apart = all(later - earlier > 1 for earlier, later in pairwise(fields.hours))
    even = _period(fields.hours, _FULL_DAY) is not None
    return per_hour * len(fields.hours) <= _MAX_TIMES or (per_hour == 1 and apart and not even)


def _clocks(fields: CronFields) -> list[str]:
    """Write out the few times of day that there are, with seconds only where there are any."""
    return [
        f"{hour:02}:{minute:02}" + (f":{second:02}" if fields.seconds != (0,) else "")
        for hour in fields.hours
        for minute in fields.minutes
        for second in fields.seconds
    ]


def _minutes_of(fields: CronFields) -> str:
    if len(fields.minutes) == _FULL_HOUR:
        return _hours_of(fields)
    if len(fields.minutes) == 1:
        return f"in minute {fields.minutes[0]} of {_each_hour(fields)}"
    return f"in minutes {join_runs(fields.minutes, str)} of {_each_hour(fields)}"


def _minutes_past(fields: CronFields) -> str:
    minutes = fields.minutes
    if minutes == (0,):
        return _each_hour(fields)
    if _period(minutes, _SIXTY) is None:
        return f"{join_runs(minutes, str)} minute{'s' * (minutes != (1,))} past {_each_hour(fields)}"
    return _within(_steps(minutes, "minute", _SIXTY), _hours_of(fields))


def _steps(values: Sequence[int], unit: str, size: int) -> str:
    """Return `every 5 minutes` for values that go round evenly, else `in minutes 3, 5 and 7`."""
    period = _period(values, size)
    return f"in {unit}s {join_runs(values, str)}" if period is None else repeat_unit(period, unit)


def _period(values: Sequence[int], size: int) -> int | None:
    """Return n where the values are 0, n, 2n and so on, evenly round a field of `size`; else None."""
    step = step_of(values)
    return step if step is not None and values[0] == 0 and step * len(values) == size else None


def _each_hour(fields: CronFields) -> str:
    period = _period(fields.hours, _FULL_DAY)
    if period is None:
        return f"every hour from {_spans(fields.hours)}"
    return "every hour" if period == 1 else f"every {ordinal(period)} hour"


def _hours_of(fields: CronFields) -> str:
    if len(fields.hours) == _FULL_DAY:
        return ""
    if _period(fields.hours, _FULL_DAY) is None:
        return f"from {_spans(fields.hours)}"
    return f"of {_each_hour(fields)}"


def _spans(hours: Sequence[int]) -> str:
    """Return hours as stretches of the day, `09:00 to 17:59`."""
    starts = [hour for hour in hours if hour - 1 not in hours]
    ends = [hour for hour in hours if hour + 1 not in hours]
    return join_words([f"{start:02}:00 to {end:02}:59" for start, end in zip(starts, ends, strict=True)])


def _within(first: str, second: str) -> str:
    return " ".join(part for part in (first, second) if part)


def _days(fields: CronFields) -> str:
    by_date = _dates(fields.day_of_month) if _is_restricted(fields, DAY_OF_MONTH) else ""
    by_weekday = _weekdays(fields.day_of_week) if _is_restricted(fields, DAY_OF_WEEK) else ""
    if by_date and by_weekday:
        return f"{by_date} or {by_weekday}" if fields.either_day else f"{by_date} if that is {by_weekday}"
    if by_date or by_weekday:
        return by_date or by_weekday
    return "every day" if _times(fields).startswith("at ") else ""


def _is_restricted(fields: CronFields, field: Field) -> bool:
    return fields.texts[field] not in {"*", "?"}


def _dates(field: DayOfMonth) -> str:
    words = [f"the {join_runs(field.days, ordinal)}"] if field.days else []
    words += [f"the weekday nearest to the {ordinal(day)}" for day in field.nearest_weekday_to]
    words += ["the last day"] * field.last + ["the last weekday"] * field.last_weekday
    return f"on {join_words(words)} of the month"


def _weekdays(field: DayOfWeek) -> str:
    # A week that is read out begins on Monday.
    days = sorted((day or len(_WEEKDAYS)) for day in field.weekdays)
    words = [join_runs(days, lambda day: _WEEKDAYS[day % len(_WEEKDAYS)])] if days else []
    words += [f"the {ordinal(nth)} {_WEEKDAYS[day]} of the month" for day, nth in field.nth]
    words += [f"the last {_WEEKDAYS[day]} of the month" for day in field.last]
    return f"on {join_words(words)}" if len(words) > 1 or len(days) < 3 else words[0]


def _months(fields: CronFields) -> str:
    if len(fields.months) == MONTH.high:
        return ""
    return f"in {join_runs(fields.months, lambda month: _MONTHS[month - 1])}"


def _years(fields: CronFields) -> str:
    return "" if fields.years is None else f"in {join_runs(fields.years, str)}"
