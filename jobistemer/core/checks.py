"""Checks of names and numbers that come from outside, each made once, where the value enters.

An error names the field, the value and what is allowed.
"""

from __future__ import annotations

import re

from jobistemer.core.errors import InvalidInput, InvalidName

# No braces (they would move the hash tag), no colon (it separates the parts of a key), no control characters.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-/]{0,127}", re.ASCII)


def check_name(kind: str, name: object) -> str:
    """Return `name` when it may enter a Redis key or a log line.

    Raises InvalidName with the kind, the value and the rule.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidName(
            f"{kind} name {name!r:.160} is not allowed: use 1–128 ASCII letters, digits and _ . - /, "
            "starting with a letter, a digit or _",
        )
    return name


def check_whole(field: str, value: object, low: int, high: int, error: type[InvalidInput]) -> None:
    """Check that `value` is a whole number from `low` to `high`. Raises `error` otherwise."""
    # A fraction would be stored, and could not be read again as the int that the field is.
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise error(f"{field} is {value!r:.80}, allowed are whole numbers from {low} to {high}")


def check_range(field: str, value: object, low: float, high: float, error: type[InvalidInput]) -> None:
    """Check that `value` is a number, and no bool, from `low` to `high`. Raises `error` otherwise."""
    # bool is an int to Python, but `priority=True` is a mistake.
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise error(f"{field} is {value!r:.80}, allowed is {format_number(low)}–{format_number(high)}")


def format_number(number: float) -> str:
    """Write a number without an exponent: 31622400, and not 3.16224e+07."""
    return f"{number:.15g}"
