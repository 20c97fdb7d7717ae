"""Reading and formatting the instants and spans that tests give."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidInput

When = datetime | str


def parse_instant_ms(what: str, value: When) -> int:
    """Convert an instant, or a text in ISO 8601, to Unix milliseconds.

    what: the name of the parameter, for errors. Raises InvalidInput for a value that is no instant or has no time zone.
    """
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError as error:
        raise InvalidInput(f"{what} is {show(value)}, which is no instant: {error}") from None
    if not isinstance(instant, datetime):
        raise InvalidInput(f"{what} is {show(value)}, allowed are a datetime and a text such as 2027-01-15T08:00:00Z")
    if instant.tzinfo is None:
        raise InvalidInput(f"{what} is {show(value)}, which has no time zone; write 2027-01-15T08:00:00Z, or +01:00")
    return round(instant.timestamp() * 1000)


def parse_span_ms(given: timedelta | None, parts: dict[str, float]) -> int:
    """Convert a span of time to milliseconds.

    given: the span, or None. parts: keywords of timedelta (days, hours, …) instead of it.
    Raises InvalidInput unless exactly one of them is given, and for a span that is negative.
    """
    if (given is None) == (not parts):
        raise InvalidInput("say once how long: jobs.advance(days=1), or jobs.advance(timedelta(days=1))")
    try:
        span = timedelta(**parts) if given is None else given
        length_ms = span // timedelta(milliseconds=1)
    except (TypeError, OverflowError) as error:
        raise InvalidInput(f"{given or parts!r} is no span of time: {error}; write days=1, hours=2, …") from None
    if length_ms < 0:
        raise InvalidInput(f"{span} ago is over; time only goes on, so begin earlier: jobs.at(…)")
    return length_ms


def to_datetime(milliseconds: int) -> datetime:
    """Convert Unix milliseconds to an instant in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def format_instant(instant: datetime) -> str:
    """Format an instant for messages: ISO 8601 in UTC, milliseconds only where there are any."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace(".000", "").replace("+00:00", "Z")
