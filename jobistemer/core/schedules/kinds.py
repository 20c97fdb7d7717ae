"""The kinds of schedules, together: the protocol, the union that travels, and the reading of texts."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.schedules.cron import Cron
from jobistemer.core.schedules.custom import Custom
from jobistemer.core.schedules.interval import Interval
from jobistemer.core.schedules.once import Once

if TYPE_CHECKING:
    from collections.abc import Iterator

AnySchedule = Cron | Interval | Once | Custom
"""Every schedule; `msgspec.json.decode(text, type=AnySchedule)` gives back what was encoded."""


@runtime_checkable
class Schedule(Protocol):
    """A fixed set of due instants: timezone-aware UTC datetimes of whole seconds, or unix seconds.

    Pure: no answer depends on a clock, on an earlier question or on the machine.
    """

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first due instant later than `instant`, or None when there is none."""

    def previous_before(self, instant: datetime) -> datetime | None:
        """Return the last due instant earlier than `instant`, or None when there is none."""

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """Return the due instants in (start, end], lazily and in order."""

    def next_unix(self, after: int) -> int | None:
        """Return the first due second later than `after`, or None when there is none."""

    def previous_unix(self, before: int) -> int | None:
        """Return the last due second earlier than `before`, or None when there is none."""

    def unix_between(self, start: int, end: int) -> Iterator[int]:
        """Return the due seconds in (start, end], lazily and in order."""


def parse_schedule(value: AnySchedule | str | timedelta | datetime, timezone: str = "UTC") -> AnySchedule:
    """Return the schedule that a value stands for.

    A schedule is itself; a timedelta and text that begins with `P` or `R` followed by ISO 8601 is an interval; a
    datetime and text that begins with a date is a one-time instant; other text is a cron expression. `timezone` is for
    those that do not bring their own. Raises InvalidSchedule.
    """
    if isinstance(value, Cron | Interval | Once | Custom):
        return value
    if isinstance(value, timedelta):
        return Interval(value, timezone=timezone)
    if isinstance(value, datetime):
        return Once(value, timezone=timezone)
    if isinstance(value, str):
        return _parse_text(value, timezone)
    raise InvalidSchedule(
        f"schedule {show(value)} is not a Cron, Interval, Once or Custom, a cron expression,"
        " an ISO 8601 interval, a timedelta or a datetime"
    )


def _parse_text(text: str, timezone: str) -> AnySchedule:
    if re.match(r"[+-]?P|R(-?\d*)/", text, re.ASCII):
        return Interval(text, timezone=timezone)
    if re.match(r"\d{4}-?(\d\d|W\d)", text, re.ASCII) and " " not in text.strip()[:10]:
        return Interval(text, timezone=timezone) if "/" in text else Once(text, timezone=timezone)
    return Cron(text, timezone=timezone)


def anchored(schedule: AnySchedule, at: datetime) -> AnySchedule:
    """Return `schedule` with `at` as its anchor, if it is an interval that still needs one."""
    return schedule.anchored(at) if isinstance(schedule, Interval) else schedule
