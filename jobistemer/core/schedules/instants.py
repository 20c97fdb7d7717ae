"""Instants: the two ways this package writes a moment, and the questions a schedule answers.

Outside, an instant is a timezone-aware datetime. Inside, and on the ticker's fast path, it is a whole number of seconds
since 1970-01-01T00:00:00Z ("unix"). A reading of a wall clock is written as a number too ("wall"): the seconds from
1970-01-01 00:00 to the date and time that the clock shows, as if its zone were UTC.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, Final, Protocol

from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidSchedule

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_DAY: Final = date(1970, 1, 1).toordinal()

# A day is kept free at both ends of what datetime can hold, so that no zone's wall clock leaves it.
FIRST_UNIX: Final = (date(1, 1, 3).toordinal() - EPOCH_DAY) * DAY
LAST_UNIX: Final = (date(9999, 12, 29).toordinal() - EPOCH_DAY) * DAY


class Due(Protocol):
    """A fixed set of due instants in unix seconds, questioned in order."""

    def next_unix(self, after: int) -> int | None:
        """Return the first due second later than `after`, or None when there is none."""

    def previous_unix(self, before: int) -> int | None:
        """Return the last due second earlier than `before`, or None when there is none."""

    def unix_between(self, start: int, end: int) -> Iterator[int]:
        """Return the due seconds later than `start` and not later than `end`, lazily and in order."""


class ScheduleQueries:
    """The questions of a schedule, answered in datetimes and in unix seconds by its `_due` set."""

    __slots__ = ()

    def _due(self) -> Due:
        raise NotImplementedError

    def day_key(self, first: int) -> Hashable | None:  # noqa: ARG002 - kinds that can tell use it
        """Return a key of the 24 hours from `first` on: with the same key they have the same instants.

        The instants are counted from `first` (unix seconds). Returns None where the kind of schedule cannot tell. A
        walk over a year of instants can skip most of its days with it.
        """
        return None

    def next_unix(self, after: int) -> int | None:
        """Return the first due second later than `after` (unix seconds), or None when there is none."""
        return self._due().next_unix(after)

    def previous_unix(self, before: int) -> int | None:
        """Return the last due second earlier than `before` (unix seconds), or None when there is none."""
        return self._due().previous_unix(before)

    def unix_between(self, start: int, end: int) -> Iterator[int]:
        """Return the due seconds in (start, end], lazily, in order; unix seconds."""
        return self._due().unix_between(start, end)

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first due instant later than `instant`, in UTC, or None when there is none.

        Raises InvalidSchedule when `instant` has no time zone.
        """
        unix = self._due().next_unix(unix_floor(instant))
        return None if unix is None else instant_at(unix)

    def previous_before(self, instant: datetime) -> datetime | None:
        """Return the last due instant earlier than `instant`, in UTC, or None when there is none.

        Raises InvalidSchedule when `instant` has no time zone.
        """
        unix = self._due().previous_unix(unix_ceiling(instant))
        return None if unix is None else instant_at(unix)

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """Return the due instants later than `start` and not later than `end`, in UTC, lazily, in order.

        Raises InvalidSchedule when either bound has no time zone.
        """
        return map(instant_at, self._due().unix_between(unix_floor(start), unix_floor(end)))


class WindowedDue:
    """The part of a due set that lies in a window, both of whose ends belong to it."""

    __slots__ = ("_due", "_first", "_last")

    def __init__(self, due: Due, first: int, last: int) -> None:
        self._due, self._first, self._last = due, first, last

    def next_unix(self, after: int) -> int | None:
        """Return the first due second of the window later than `after`."""
        unix = self._due.next_unix(max(after, self._first - 1))
        return None if unix is None or unix > self._last else unix

    def previous_unix(self, before: int) -> int | None:
        """Return the last due second of the window earlier than `before`."""
        unix = self._due.previous_unix(min(before, self._last + 1))
        return None if unix is None or unix < self._first else unix

    def unix_between(self, start: int, end: int) -> Iterator[int]:
        """Return the due seconds of the window in (start, end]."""
        return self._due.unix_between(max(start, self._first - 1), min(end, self._last))


def limit_to_window(due: Due, start: datetime | None, end: datetime | None) -> Due:
    """Cut a due set to the window from `start` to `end`; None leaves that side open."""
    if start is None and end is None:
        return due
    first = FIRST_UNIX if start is None else unix_ceiling(start)
    last = LAST_UNIX if end is None else unix_floor(end)
    return WindowedDue(due, first, last)


def check_window(start: datetime | None, end: datetime | None) -> tuple[datetime | None, datetime | None]:
    """Return a window in UTC.

    Raises InvalidSchedule for a bound without a time zone, and for a window that ends before it starts.
    """
    first = None if start is None else to_utc(start, "start")
    last = None if end is None else to_utc(end, "end")
    if first is not None and last is not None and last < first:
        raise InvalidSchedule(
            f"end {last.isoformat()} is before start {first.isoformat()}: the window is empty; were the two swapped?"
        )
    return first, last


def to_utc(instant: datetime, field: str) -> datetime:
    """Return the same instant in UTC. Raises InvalidSchedule with `field` for an instant without a time zone."""
    if not isinstance(instant, datetime):
        raise InvalidSchedule(f"{field} {show(instant)} is not a datetime")
    if instant.utcoffset() is None:
        raise InvalidSchedule(
            f"{field} {instant.isoformat()} has no time zone; an instant needs one, such as {instant.isoformat()}+00:00"
        )
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise InvalidSchedule(f"{field} {instant.isoformat()} is outside the years 1–9999 in UTC") from error


def unix_floor(instant: datetime) -> int:
    """Return the last whole second that is not later than `instant`, exactly."""
    if instant.tzinfo is None:
        to_utc(instant, "instant")
    since = instant - EPOCH
    return since.days * DAY + since.seconds


def unix_ceiling(instant: datetime) -> int:
    """Return the first whole second that is not earlier than `instant`, exactly."""
    return unix_floor(instant) + (instant.microsecond > 0)


def instant_at(unix: int) -> datetime:
    """Return the UTC datetime of a unix second."""
    return EPOCH + timedelta(0, unix)


def to_wall_seconds(naive: datetime) -> int:
    """Return the wall seconds of the date and time that a clock shows."""
    return (naive.toordinal() - EPOCH_DAY) * DAY + naive.hour * HOUR + naive.minute * MINUTE + naive.second


def walk(due: Due, start: int, end: int) -> Iterator[int]:
    """Return the due seconds in (start, end] by asking `next_unix` again and again."""

    def steps() -> Iterator[int]:
        unix = due.next_unix(start)
        while unix is not None:
            yield unix
            unix = due.next_unix(unix)

    return takewhile(lambda unix: unix <= end, steps())
