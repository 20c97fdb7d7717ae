"""Durations and instants that a caller gives, as whole milliseconds."""

from __future__ import annotations

from datetime import datetime, timedelta

from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidInput

LONGEST_WINDOW_S = 366 * 86_400
LONGEST_WAIT_S = 100 * 366 * 86_400
"""The longest delay of a call in seconds: a century, so that a number in the wrong unit is found."""

Seconds = float | timedelta


def milliseconds(field: str, value: Seconds, least: int = 0, most_s: float = LONGEST_WINDOW_S) -> int:
    """Convert a number of seconds, or a timedelta, to whole milliseconds.

    field: the name of the value in an error. Allowed are at least `least` milliseconds and at most `most_s` seconds.
    Raises InvalidInput when the value is out of range.
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not least <= seconds * 1000 < float("inf"):
        raise InvalidInput(f"{field} is {show(value)}, allowed are {least / 1000:g} and more seconds")
    if seconds > most_s:
        raise InvalidInput(f"{field} is {show(value)}, allowed are at most {most_s} seconds")
    return round(seconds * 1000)


def instant_ms(field: str, value: datetime) -> int:
    """Convert an instant to Unix milliseconds.

    field: the name of the value in an error. Raises InvalidInput when the value is no datetime or has no time zone.
    """
    if not isinstance(value, datetime):
        raise InvalidInput(f"{field} is {show(value)}, allowed is a datetime with a time zone")
    if value.utcoffset() is None:
        raise InvalidInput(f"{field} is {show(value)}, which has no time zone; write datetime(…, tzinfo=UTC)")
    try:
        return round(value.timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"{field} is {show(value)}, which is no instant that can be counted: {error}") from None
