"""An independent answer to "when is this due?": walk the clock and look at it.

Nothing of the package is used. The clock is Python's own zoneinfo, asked second by
second or minute by minute; the fields of an expression are sets of numbers that the
test makes up itself. Slow, and simple enough to be believed.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

DAY = 86400
FIRST = int(datetime(1970, 1, 2, tzinfo=UTC).timestamp())
BEFORE_ALL = datetime(1, 1, 1)
LAST = int(datetime(2100, 12, 30, tzinfo=UTC).timestamp())

ZONES = [
    "Europe/Berlin", "Europe/London", "Europe/Dublin", "Europe/Lisbon", "Europe/Moscow", "Europe/Istanbul",
    "Europe/Chisinau", "Europe/Samara", "Europe/Volgograd", "Atlantic/Azores", "Atlantic/Reykjavik",
    "Atlantic/Stanley", "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles",
    "America/Anchorage", "America/St_Johns", "America/Halifax", "America/Havana", "America/Sao_Paulo",
    "America/Caracas", "America/Argentina/Buenos_Aires", "America/Argentina/San_Luis", "America/Asuncion",
    "America/Santiago", "America/Scoresbysund", "America/Nuuk", "America/Godthab", "America/Mexico_City",
    "America/Goose_Bay", "America/Indiana/Knox", "America/Phoenix", "America/Boa_Vista", "Africa/Cairo",
    "Africa/Casablanca", "Africa/El_Aaiun", "Africa/Monrovia", "Africa/Windhoek", "Africa/Juba",
    "Africa/Sao_Tome", "Asia/Amman", "Asia/Beirut", "Asia/Damascus", "Asia/Gaza", "Asia/Jerusalem",
    "Asia/Tehran", "Asia/Kabul", "Asia/Kathmandu", "Asia/Kolkata", "Asia/Colombo", "Asia/Dhaka",
    "Asia/Pyongyang", "Asia/Seoul", "Asia/Tokyo", "Asia/Shanghai", "Asia/Ulaanbaatar", "Asia/Vladivostok",
    "Asia/Magadan", "Asia/Hovd", "Australia/Lord_Howe", "Australia/Sydney", "Australia/Perth",
    "Australia/Adelaide", "Pacific/Apia", "Pacific/Kwajalein", "Pacific/Kiritimati", "Pacific/Enderbury",
    "Pacific/Chatham", "Pacific/Auckland", "Pacific/Norfolk", "Pacific/Fiji", "Pacific/Tongatapu",
    "Pacific/Bougainville", "Antarctica/Troll", "Antarctica/Casey", "Antarctica/Macquarie",
    "Antarctica/Vostok", "Etc/GMT+12", "UTC",
]  # fmt: skip


@dataclass(frozen=True)
class Expression:
    """A cron expression whose meaning is known because it was written from it, not read."""

    text: str
    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool
    follows_elapsed_time: bool

    def matches(self, clock: datetime) -> bool:
        return (
            clock.second in self.seconds
            and clock.minute in self.minutes
            and clock.hour in self.hours
            and clock.month in self.months
            and self._matches_day(clock)
        )

    def _matches_day(self, clock: datetime) -> bool:
        by_date = clock.day in self.days
        by_weekday = clock.isoweekday() % 7 in self.weekdays
        return by_date or by_weekday if self.either_day else by_date and by_weekday


def offset_at(zone: str, unix: int) -> int:
    return int(datetime.fromtimestamp(unix, ZoneInfo(zone)).utcoffset().total_seconds())


def clock_at(zone: str, unix: int) -> datetime:
    return datetime.fromtimestamp(unix, ZoneInfo(zone)).replace(tzinfo=None, fold=0)


@cache
def changes(zone: str, first: int = FIRST, last: int = LAST) -> tuple[int, ...]:
    """Every instant from 1970 to 2100 at which a zone's offset changes; looked for day by day."""
    found = []
    for day in range(first, last, DAY):
        low, high = day, day + DAY
        before = offset_at(zone, low)
        if before == offset_at(zone, high):
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset_at(zone, middle) == before else (low, middle)
        found.append(high)
    return tuple(found)


@dataclass(frozen=True)
class Walk:
    """What the clock of a zone shows at every step of (start, end]."""

    start: int
    end: int
    step: int
    steps: tuple[int, ...]
    clocks: tuple[datetime, ...]


def walk(zone: str, start: int, end: int, step: int) -> Walk:
    steps = tuple(range(start + step, end + 1, step))
    return Walk(start, end, step, steps, tuple(clock_at(zone, unix) for unix in steps))


def due(expression: Expression, walked: Walk, dst: str) -> list[int]:
    """The due instants among the steps of a walk that begins and ends well clear of any change."""
    if expression.follows_elapsed_time:
        return _due_by_elapsed_time(expression, walked, dst)
    return _due_at_fixed_times(expression, walked, dst)


def _due_by_elapsed_time(expression: Expression, walked: Walk, dst: str) -> list[int]:
    """Every instant whose clock matches; with `first`, only where the clock shows something new."""
    found, latest = [], BEFORE_ALL
    for unix, clock in zip(walked.steps, walked.clocks, strict=True):
        if expression.matches(clock) and (dst != "first" or clock > latest):
            found.append(unix)
        latest = max(latest, clock)
    return found


def _due_at_fixed_times(expression: Expression, walked: Walk, dst: str) -> list[int]:
    """Walk the local readings, shown or not, and find for each the instants that stand for it."""
    passes: dict[datetime, list[int]] = {}
    for unix, clock in zip(walked.steps, walked.clocks, strict=True):
        passes.setdefault(clock, []).append(unix)
    latest = _running_maximum(walked.clocks)
    found: set[int] = set()
    reading, last = walked.clocks[0], latest[-1]
    while reading <= last:
        if expression.matches(reading):
            shown = passes.get(reading)
            if shown is not None:
                found.update(shown if dst == "both" else shown[:1])
            elif dst != "skip":
                found.add(walked.steps[bisect_left(latest, reading)])
        reading += timedelta(seconds=walked.step)
    return sorted(found)


def _running_maximum(clocks: tuple[datetime, ...]) -> list[datetime]:
    latest, highest = [], BEFORE_ALL
    for clock in clocks:
        highest = max(highest, clock)
        latest.append(highest)
    return latest
