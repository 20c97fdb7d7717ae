"""Numbers from outside: checked once, refused with the field, the value and what is allowed."""

from __future__ import annotations

from jobistemer.core.errors import InvalidInput


def check_whole(field: str, value: object, low: int, high: int, error: type[InvalidInput]) -> None:
    """Raise `error` unless `value` is a whole number from `low` to `high`: a fraction would not be readable again."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise error(f"{field} is {value!r:.80}, allowed are whole numbers from {low} to {high}")


def check_range(field: str, value: object, low: float, high: float, error: type[InvalidInput]) -> None:
    """Raise `error` unless `value` is a number (and no bool) from `low` to `high`."""
    # bool is an int to Python, but `priority=True` is a mistake.
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise error(f"{field} is {value!r:.80}, allowed is {format_number(low)}–{format_number(high)}")


def format_number(number: float) -> str:
    """A number as people write it: 31622400, and not 3.16224e+07."""
    return f"{number:.15g}"
