"""The items of a field of a cron expression, such as `1-5` and `*/10`, expanded to values."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NoReturn

from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.schedules import cron_hints
from jobistemer.core.schedules.cron_expression import DAY_OF_WEEK, Field

_VALUE = r"[0-9]+|[A-Za-z]+"
_ITEM: Final = re.compile(rf"(?:\*|({_VALUE})(?:-({_VALUE}))?)(?:/([0-9]+))?")


@lru_cache(maxsize=1_024)
def expand(field: Field, text: str) -> tuple[int, ...]:
    """Return the values that a list of items names, sorted, each once."""
    items = text.split(",")
    if len(items) == 1:
        return tuple(_expand_item(field, text))
    return tuple(sorted({value for item in items for value in _expand_item(field, item)}))


def read_value(field: Field, text: str) -> int:
    """Return the number that a value stands for: digits within the field's range, or one of its names."""
    if not text.isdigit():
        return _read_name(field, text)
    value = int(text)
    if not field.low <= value <= field.high:
        allowed = f"is out of {field.low}–{field.high}"
        refuse(field, text, f"{allowed}{cron_hints.guess_value(field.name, value)}")
    return value


def refuse(field: Field, text: str, reason: str) -> NoReturn:
    """Raise InvalidSchedule with a part of a field and the reason."""
    raise InvalidSchedule(f"{field} {text or repr(text)} {reason}")


def _read_name(field: Field, text: str) -> int:
    name = text.upper()
    if name in field.names:
        # January is 1, Sunday is 0: names count from the low end of their field.
        return field.names.index(name) + field.low
    allowed = f"is not a number in {field.low}–{field.high}"
    if field.names:
        allowed += f" or one of {', '.join(field.names)}"
    return refuse(field, text, f"{allowed}{cron_hints.guess_name(field.name, name, field.names)}")


def _expand_item(field: Field, text: str) -> range:
    match = _ITEM.fullmatch(text)
    if match is None:
        refuse(field, text, f"is not a value, a range or a step{cron_hints.guess_item(field.name, text)}")
    first, _, step = match.groups()
    low = field.low if first is None else read_value(field, first)
    high = _end_of_item(field, text, low, match)
    return range(low, high + 1, _read_step(field, step))


def _end_of_item(field: Field, text: str, low: int, match: re.Match[str]) -> int:
    """Return the last value of an item: of its range, of the field for `*` and `a/n`, else its own."""
    first, last, step = match.groups()
    if last is None:
        return low if first is not None and step is None else max(low, _last_value(field))
    high = read_value(field, last)
    if field is DAY_OF_WEEK and last.upper() == "SUN" and low > high:
        return field.high  # FRI-SUN is 5-7
    if low > high:
        refuse(field, text, f"runs backwards{cron_hints.guess_range(field, low, high)}")
    return high


def _last_value(field: Field) -> int:
    return field.high - 1 if field is DAY_OF_WEEK else field.high


def _read_step(field: Field, text: str | None) -> int:
    """Read a step. Raises InvalidSchedule for one larger than the field: it hides a mistake, such as */90 minutes."""
    if text is None:
        return 1
    step, most = int(text), _last_value(field) - field.low + 1
    if not 1 <= step <= most:
        refuse(field, f"step /{text}", f"is out of 1–{most}{cron_hints.guess_step(field.name, step)}")
    return step
