"""A schedule in words for people, such as `at 02:00, Monday to Friday (Europe/Berlin)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jobistemer.core.schedules.cron import Cron
from jobistemer.core.schedules.custom import Custom
from jobistemer.core.schedules.describe_cron import describe_cron
from jobistemer.core.schedules.english import count_units, join_words
from jobistemer.core.schedules.instants import DAY, HOUR, MINUTE, instant_at
from jobistemer.core.schedules.interval import Interval, find_zone
from jobistemer.core.schedules.iso8601 import read_repetition
from jobistemer.core.schedules.zones import Zone, zone_of

if TYPE_CHECKING:
    from jobistemer.core.schedules.iso8601 import Duration
    from jobistemer.core.schedules.kinds import AnySchedule

_MONTHS_PER_YEAR: Final = 12
_DAYS_PER_WEEK: Final = 7


def describe(schedule: AnySchedule) -> str:
    """Describe a schedule in words: when it is due, in which zone, in which window, delayed by how much."""
    if isinstance(schedule, Cron):
        return f"{describe_cron(schedule.expression)} ({schedule.timezone}){_limits(schedule)}"
    if isinstance(schedule, Interval):
        return f"{_describe_interval(schedule)}{_limits(schedule)}"
    if isinstance(schedule, Custom):
        return f"custom schedule {schedule.name!r}"
    return f"once, at {_local(schedule.next_unix(-(1 << 40)) or 0, schedule.timezone or 'UTC')}"


def _describe_interval(interval: Interval) -> str:
    repetition = read_repetition(str(interval.expression), interval.timezone)
    start = repetition.start if interval.anchor is None else int(interval.anchor.timestamp())
    zone = find_zone(interval.timezone, repetition.offset)
    parts = [f"every {_length(repetition.duration)}"]
    if repetition.times is not None:
        parts.append(count_units(repetition.times, "time"))
    if start is not None:
        parts.append(f"from {_local_in(start, zone)}")
    if repetition.end is not None:
        parts.append(f"up to {_local_in(repetition.end, zone)}")
    if start is None and repetition.end is None:
        parts.append("from the job's registration")
    return ", ".join(parts)


def _length(duration: Duration) -> str:
    years, months = divmod(duration.months, _MONTHS_PER_YEAR)
    weeks, days = divmod(duration.days, _DAYS_PER_WEEK)
    if days:
        weeks, days = 0, duration.days
    hours, rest = divmod(duration.seconds, HOUR)
    minutes, seconds = divmod(rest, MINUTE)
    counts = {
        "year": years, "month": months, "week": weeks, "day": days,
        "hour": hours, "minute": minutes, "second": seconds,
    }  # fmt: skip
    words = [count_units(count, unit) for unit, count in counts.items() if count]
    return words[0].removeprefix("1 ") if len(words) == 1 else join_words(words)


def _limits(schedule: Cron | Interval) -> str:
    words = ""
    if schedule.start is not None:
        words += f", not before {schedule.start:%Y-%m-%d %H:%M:%S} UTC"
    if schedule.end is not None:
        words += f", not after {schedule.end:%Y-%m-%d %H:%M:%S} UTC"
    delay_s = schedule.jitter + schedule.spread
    return f"{words}, delayed by less than {_span(delay_s)}" if delay_s else words


def _span(seconds: int) -> str:
    for unit, name in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")):
        if seconds % unit == 0:
            return count_units(seconds // unit, name)
    return count_units(seconds, "second")


def _local(unix: int, timezone: str) -> str:
    return _local_in(unix, zone_of(timezone))


def _local_in(unix: int, zone: Zone) -> str:
    wall = unix + zone.offset_at(unix)
    return f"{instant_at(wall):%Y-%m-%d %H:%M:%S} ({zone.name})"
