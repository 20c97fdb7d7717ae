"""Guesses at what was meant: the second half of an error about a cron expression.

Each function returns text to be appended to a message, empty when there is no good guess.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from jobistemer.core.checks import find_close

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobistemer.core.schedules.cron_expression import Field

_MEANT_INSTEAD: Final = {
    ("second", 60): "0, which begins the next minute",
    ("minute", 60): "0, which begins the next hour",
    ("hour", 24): "0, which is midnight",
    ("day of month", 0): "1, or L for the last day",
    ("month", 0): "1, which is January",
    ("day of week", 8): "1, which is Monday (Sunday is 0 and 7)",
    ("number after #", 0): "1, the first of the month",
    ("number after #", 6): "dL, the last d of the month",
}

_SUNDAY: Final = 7


def _form(where: str, form: str, hint: str) -> tuple[re.Pattern[str], re.Pattern[str], str]:
    return re.compile(where), re.compile(form, re.IGNORECASE | re.ASCII), hint


# Where an item stands, its form, and the hint. The letters and # are Quartz's.
_FORMS: Final = (
    _form("day of month", r"W(\d+)", r"did you mean \1W?"),
    _form("day of month", r"WL", r"did you mean LW?"),
    _form("day of month", r"L", r"L, the last day, stands without a range"),
    _form("day of month", r"\d+-\d+W", r"W follows a single day"),
    _form("day of month", r"(\d)L", r"\1L, the last of a weekday, belongs to the day of week"),
    _form("day of week", r"L(\d)", r"did you mean \1L?"),
    _form("day of week", r"L", r"L alone belongs to the day of month; the last Friday of a month is 5L"),
    _form("day of week", r"LW", r"LW belongs to the day of month"),
    _form("day of week", r"\d+W", r"W belongs to the day of month"),
    _form("(?!day of week).*", r".*#.*", r"# belongs to the day of week"),
    _form(".*", r".*\?.*", r"? stands alone, and only in a day field"),
    _form(".*", r"", r"a list has a value on both sides of each comma"),
)

_DURATION_UNITS: Final = {"second": "S", "minute": "M", "hour": "H"}
_HIGHEST_HOUR: Final = 23
_HIGHEST_MINUTE: Final = 59


def guess_value(field: str, number: int) -> str:
    """Guess at a value that is just out of range."""
    meant = _MEANT_INSTEAD.get((field, number))
    return f"; did you mean {meant}?" if meant else ""


def guess_name(field: str, text: str, names: Iterable[str]) -> str:
    """Guess at a misspelt or spelt-out name of a month or a weekday, or at a letter in the wrong place."""
    known = list(names)
    if text in {"R", "H"}:
        return "; a stable random offset is the option spread"
    if text[:3] in known:
        return f"; did you mean {text[:3]}?"
    close = find_close(text[:10], known)
    return f"; did you mean {close[0]}?" if close else guess_item(field, text)


def guess_item(field: str, text: str) -> str:
    """Guess at an item that the grammar does not know."""
    for where, form, hint in _FORMS:
        match = form.fullmatch(text)
        if match is not None and where.fullmatch(field):
            return "; " + match.expand(hint)
    return ""


def guess_range(field: Field, low: int, high: int) -> str:
    """Write a backward range as the list that it probably stands for."""
    # A week that goes on after Sunday, 7, goes on with Monday, 1.
    again = field.low + (field.high == _SUNDAY)
    rest = "" if high < again else f",{again}" if high == again else f",{again}-{high}"
    return f"; did you mean {low}-{field.high}{rest}?"


def guess_step(field: str, number: int) -> str:
    """Name the schedule kind that has steps of any size."""
    unit = _DURATION_UNITS.get(field)
    if unit is None or number == 0:
        return ""
    return f"; a period of its own is an interval, PT{number}{unit}"


def guess_nickname(text: str, names: Iterable[str]) -> str:
    """Guess at an @ name."""
    if text.lower().startswith("@every"):
        return "; an interval is written as ISO 8601, such as PT5M"
    close = find_close(text.lower()[:20], list(names))
    return f"; did you mean {close[0]}?" if close else ""


def guess_field_count(text: str) -> str:
    """Guess at a text that is no cron expression at all."""
    if re.match(r"(R\d*/|P)", text, re.IGNORECASE):
        return "; an ISO 8601 interval is Interval(...)"
    return ""


def guess_order(expression: str) -> str:
    """Guess that hour and minute were written in the wrong order."""
    match = re.fullmatch(r"\s*(\d{1,2})\s+(\d{1,2})((?:\s+\S+){3})\s*", expression)
    if match is None:
        return ""
    minute, hour = int(match[1]), int(match[2])
    if minute <= _HIGHEST_HOUR < hour <= _HIGHEST_MINUTE:
        return f"; the minute comes first: did you mean '{hour} {minute}{match[3]}'?"
    return ""


def guess_day(days: str) -> str:
    """Suggest the last day of the month for a date that its month does not have."""
    return "; did you mean L, the last day of the month?" if days in {"30", "31"} else ""
