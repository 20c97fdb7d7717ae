"""Checks of names and numbers that come from outside, each made once, where the value enters.

An error names the field, the value and what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum
from typing import Any, TypeVar

from jobistemer.core.errors import InvalidInput, InvalidName

# No braces (they would move the hash tag), no colon (it separates the parts of a key), no control characters.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-/]{0,127}", re.ASCII)
LONGEST_AUTHOR = 100
"""The most characters in the name of the author of a change."""
LARGEST_WHOLE = 2**63 - 1
"""The largest whole number that enters a command of the server or a counter of a script."""
LONGEST_ID = 500
"""How many characters a name or an id may have that something is looked up by."""
E = TypeVar("E", bound=StrEnum)


def show(value: object, most: int = 80) -> str:
    """Return how a value is written in an error: its repr, cut after `most` characters.

    It raises nothing, whatever the value does in its repr: an error about a bad value has to reach its reader.
    """
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - a number of 5,000 digits raises ValueError, a user's class anything
        text = f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"
    return text if len(text) <= most else f"{text[:most]}…"


def check_name(kind: str, name: object) -> str:
    """Return `name` when it may enter a Redis key or a log line.

    Raises InvalidName with the kind, the value and the rule.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidName(
            f"{kind} name {show(name, 160)} is not allowed: use 1–128 ASCII letters, digits and _ . - /, "
            "starting with a letter, a digit or _",
        )
    return name


def check_author(by: str) -> str:
    """Return the name of an author when it may stand in an audit list. Raises InvalidInput."""
    if not isinstance(by, str) or not 1 <= len(by) <= LONGEST_AUTHOR or not by.isprintable():
        raise InvalidInput(f"by is {show(by, 120)}; a name has 1–{LONGEST_AUTHOR} printable characters")
    return by


def check_whole(field: str, value: object, low: int, high: int, error: type[InvalidInput]) -> None:
    """Check that `value` is a whole number from `low` to `high`. Raises `error` otherwise."""
    # A fraction would be stored, and could not be read again as the int that the field is.
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise error(f"{field} is {show(value)}, allowed are whole numbers from {low} to {high}")


def check_range(field: str, value: object, low: float, high: float, error: type[InvalidInput]) -> None:
    """Check that `value` is a number, and no bool, from `low` to `high`. Raises `error` otherwise."""
    # bool is an int to Python, but `priority=True` is a mistake.
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise error(f"{field} is {show(value)}, allowed is {format_number(low)}–{format_number(high)}")


def check_choice(field: str, value: object, choices: type[E], error: type[InvalidInput]) -> E:
    """Return the member of `choices` that a value is, or is written as. Raises `error` for any other value."""
    if isinstance(value, str) and value in tuple(choices):
        return choices(value)
    raise error(f"{field} is {show(value)}, allowed are {', '.join(choices)}")


def check_text(field: str, value: object, most: int, error: type[InvalidInput]) -> None:
    """Check that `value` is a text of at most `most` characters that UTF-8 can write. Raises `error` otherwise."""
    if not isinstance(value, str) or len(value) > most or not is_encodable(value):
        size = f" ({len(value)} characters)" if isinstance(value, str) and len(value) > most else ""
        raise error(f"{field} is {show(value)}{size}, allowed are texts of at most {most} characters in UTF-8")


def check_id(kind: str, value: object) -> str:
    """Return a name or an id that something is looked up by. Raises InvalidInput for what cannot be one.

    More is looked up than may be declared: an old name that is not allowed any more has to be found too.
    """
    check_text(kind, value, LONGEST_ID, InvalidInput)
    return str(value)


def check_all(field: str, values: Any, kinds: Any, names: str, error: type[InvalidInput]) -> tuple[Any, ...]:
    """Return the values of a list or a tuple as a tuple. Raises `error` for one that is not of the `kinds`.

    kinds: what `isinstance` takes. names: what the error says is allowed.
    """
    if not isinstance(values, list | tuple):
        raise error(f"{field} is {show(values)}, allowed is a list of {names}")
    for each in values:
        if not isinstance(each, kinds):
            raise error(f"{field} has {show(each)}, allowed are {names}")
    return tuple(values)


def find_close(word: str, known: Collection[str], most: int = 1, cutoff: float = 0.6) -> list[str]:
    """Return the known words that are most like a word, at most `most`; cutoff: how like, from 0 to 1 for the same."""
    try:
        # Only errors ask, and most processes raise none: 0.2 MB.
        from difflib import get_close_matches  # noqa: PLC0415 - as above
    except OSError:
        # No file descriptor is left. The error itself says more than the hint would.
        return []
    return get_close_matches(word, known, most, cutoff)


def suggest(name: str, known: Collection[str]) -> str:
    """Return the question whether one of up to three known names was meant; empty when none is like `name`."""
    close = find_close(name, known, 3)
    return f"did you mean {' or '.join(map(show, close))}?" if close else ""


def explain_unknown(unknown: Collection[str], known: Collection[str]) -> str:
    """Return what an error says of keyword arguments that do not exist: the near ones, and all that do."""
    near = (find_close(each, known) for each in sorted(unknown))
    meant = ", ".join(found[0] for found in near if found)
    hint = f"did you mean {meant}? " if meant else ""
    return f"has no option {', '.join(sorted(unknown))}; {hint}known are {', '.join(sorted(known))}"


def is_encodable(text: str) -> bool:
    """Return whether a text can be written in UTF-8: half of a surrogate pair cannot."""
    if text.isascii():
        return True
    # A JSON escape that was cut in the middle leaves such a half.
    return not any("\ud800" <= each <= "\udfff" for each in text)


def format_number(number: float) -> str:
    """Write a number without an exponent: 31622400, and not 3.16224e+07."""
    return f"{number:.15g}"
