"""Schedules in words: `every(5).minutes`, `every().day.at("14:30")`, `every().monday.at("09:00")`.

A builder ends in a `schedule`, an ordinary cron expression or interval, and in `do`, which gives it to the app that the
builder was made for. It adds no kind of schedule of its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.schedules.cron import Cron
from jobistemer.core.schedules.interval import Interval
from jobistemer.core.schedules.once import Once

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from jobistemer.core.schedules.kinds import AnySchedule

    Register = Callable[[AnySchedule], "Do"]

Do = TypeVar("Do")
"""The type of `do`: the app's decorator, which knows the types of the functions it takes."""

_CLOCK: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", re.ASCII)
_MINUTE_OF_HOUR: Final = re.compile(r":([0-5]\d)", re.ASCII)
_MOST: Final = 999_999


class Ready(Generic[Do]):
    """A schedule that is complete and waits for the task to run."""

    __slots__ = ("_register", "schedule")

    def __init__(self, schedule: AnySchedule, register: Register[Do]) -> None:
        self.schedule = schedule
        self._register = register

    @property
    def do(self) -> Do:
        """The app's decorator for this schedule: called with a function and policies, it makes a job of them."""
        return self._register(self.schedule)


class EveryUnit(Ready[Do]):
    """Every n hours or days: complete as it is, or at a time of day."""

    __slots__ = ("_count", "_timezone", "_unit")

    def __init__(self, count: int, unit: str, timezone: str, register: Register[Do]) -> None:
        super().__init__(Interval(unit.format(count), timezone=timezone), register)
        self._count, self._unit, self._timezone = count, unit, timezone

    def at(self, clock: str, timezone: str | None = None) -> Ready[Do]:
        """Fix the time: "14:30" for every day, ":30" for every hour. Raises InvalidSchedule for anything else."""
        if self._count != 1 or self._unit not in {"P{}D", "PT{}H"}:
            duration = self._unit.format(self._count)
            raise InvalidSchedule(
                f"at({show(clock)}) needs every().day or every().hour;"
                f" for {duration} write Interval('R/<start>/{duration}')"
            )
        expression = f"{_minute_of_hour(clock)} *" if self._unit == "PT{}H" else _minute_and_hour(clock)
        return Ready(_cron(expression, "*", timezone or self._timezone), self._register)


class EveryWeekday(Ready[Do]):
    """Every week on one day: at midnight, or at a time of day."""

    __slots__ = ("_day", "_timezone")

    def __init__(self, day: str, timezone: str, register: Register[Do]) -> None:
        super().__init__(_cron("0 0", day, timezone), register)
        self._day, self._timezone = day, timezone

    def at(self, clock: str, timezone: str | None = None) -> Ready[Do]:
        """Fix the time of day, "09:00" or "09:00:30". Raises InvalidSchedule for anything else."""
        return Ready(_cron(_minute_and_hour(clock), self._day, timezone or self._timezone), self._register)


class _Unit:
    """An attribute of EveryBuilder that completes it with a unit of time."""

    def __init__(self, duration: str) -> None:
        self._duration = duration

    def __get__(self, builder: EveryBuilder[Do], owner: type[EveryBuilder[Do]]) -> EveryUnit[Do]:
        return EveryUnit(builder.count, self._duration, builder.timezone, builder.register)


class _Weekday:
    """An attribute of EveryBuilder that completes it with a day of the week."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, builder: EveryBuilder[Do], owner: type[EveryBuilder[Do]]) -> EveryWeekday[Do]:
        if builder.count != 1:
            raise InvalidSchedule(
                f"every({builder.count}) and a weekday do not go together:"
                f" write Interval('R/<a {self._name}>/P{builder.count}W')"
            )
        return EveryWeekday(self._name, builder.timezone, builder.register)


class EveryBuilder(Generic[Do]):
    """`every(count)`: a unit (`minutes`, `day`) or a weekday (`monday`) follows.

    `register(schedule)` returns the app's decorator `do`; `count` is 1–999,999; `timezone` is a name of the tz
    database. Units are intervals counted from the job's registration; weekdays and times of day are cron expressions.
    Raises InvalidSchedule.
    """

    __slots__ = ("count", "register", "timezone")

    second = seconds = _Unit("PT{}S")
    minute = minutes = _Unit("PT{}M")
    hour = hours = _Unit("PT{}H")
    day = days = _Unit("P{}D")
    week = weeks = _Unit("P{}W")
    month = months = _Unit("P{}M")
    year = years = _Unit("P{}Y")

    monday, tuesday, wednesday = _Weekday("MON"), _Weekday("TUE"), _Weekday("WED")
    thursday, friday = _Weekday("THU"), _Weekday("FRI")
    saturday, sunday = _Weekday("SAT"), _Weekday("SUN")

    def __init__(self, register: Register[Do], count: int = 1, timezone: str = "UTC") -> None:
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= _MOST:
            raise InvalidSchedule(f"every({show(count)}) is not a whole number in 1–{_MOST}")
        self.register, self.count, self.timezone = register, count, timezone


def at(when: datetime | str, register: Register[Do], timezone: str | None = None) -> Ready[Do]:
    """Build the schedule of `at(when).do(task)`: once, at an instant; see Once."""
    return Ready(Once(when, timezone), register)


def _cron(clock: str, weekday: str, timezone: str) -> Cron:
    return Cron(f"{clock} * * {weekday}", timezone=timezone)


def _minute_and_hour(clock: str) -> str:
    """Return the leading fields of a cron expression for a time of day, with seconds where they are given."""
    match = _CLOCK.fullmatch(clock)
    if match is None:
        raise InvalidSchedule(f"time of day {show(clock)} is not HH:MM or HH:MM:SS in 00:00–23:59:59")
    seconds = f"{int(match[3])} " if match[3] else ""
    return f"{seconds}{int(match[2])} {int(match[1])}"


def _minute_of_hour(clock: str) -> int:
    match = _MINUTE_OF_HOUR.fullmatch(clock)
    if match is None:
        raise InvalidSchedule(f"minute of the hour {show(clock)} is not :MM in :00–:59")
    return int(match[1])
