"""The fields of another engine's schedule, as sets of numbers, to a cron expression of ours.

Celery, arq and APScheduler want the day of the month AND the day of the week to match; a cron expression is due when
one of the two does (Vixie's crontab(5)). Where both are restricted, the weekdays become a calendar that excludes the
others.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import msgspec

from jobistemer.core.schedules import AnyCalendar, Cron, CronExclusion
from jobistemer.core.schedules.walltime import Dst

SECONDS = MINUTES = frozenset(range(60))
HOURS = frozenset(range(24))
DAYS = frozenset(range(1, 32))
MONTHS = frozenset(range(1, 13))
WEEKDAYS = frozenset(range(7))
_LONGEST_LIST = 8


class CronSets(msgspec.Struct, frozen=True):
    """The values that each field of a schedule allows; weekdays count from Sunday, 0."""

    minutes: AbstractSet[int] = MINUTES
    hours: AbstractSet[int] = HOURS
    days: AbstractSet[int] = DAYS
    months: AbstractSet[int] = MONTHS
    weekdays: AbstractSet[int] = WEEKDAYS
    seconds: AbstractSet[int] = frozenset({0})

    def build(self, timezone: str, dst: Dst = "shift") -> tuple[Cron, tuple[AnyCalendar, ...]]:
        """Return the schedule, and the calendar that it needs when day of month and day of week are both restricted.

        Raises InvalidSchedule for a set that allows nothing or a time zone that nobody knows.
        """
        both = self.days < DAYS and self.weekdays < WEEKDAYS
        weekdays = "*" if both else describe_set(self.weekdays, WEEKDAYS)
        texts = [
            describe_set(self.minutes, MINUTES),
            describe_set(self.hours, HOURS),
            describe_set(self.days, DAYS),
            describe_set(self.months, MONTHS),
            weekdays,
        ]
        if self.seconds != {0}:
            texts.insert(0, describe_set(self.seconds, SECONDS))
        cron = Cron(" ".join(texts), timezone=timezone, dst=dst)
        if not both:
            return cron, ()
        others = describe_set(WEEKDAYS - self.weekdays, WEEKDAYS)
        return cron, (CronExclusion(f"weekdays {others}", f"* * * * {others}", timezone),)


def describe_set(values: AbstractSet[int], full: AbstractSet[int]) -> str:
    """Return the shortest usual text of a cron field: `*`, a step, ranges, or a list."""
    ordered, low, high = sorted(values), min(full), max(full)
    if values == full:
        return "*"
    for step in range(2, len(full)):
        if ordered == list(range(low, high + 1, step)) and len(ordered) > 1:
            return f"*/{step}"
    step = ordered[1] - ordered[0] if len(ordered) > _LONGEST_LIST else 1
    if step > 1 and ordered == list(range(ordered[0], ordered[-1] + 1, step)):
        return f"{ordered[0]}-{ordered[-1]}/{step}"
    return ",".join(_describe_range(first, last) for first, last in _ranges(ordered))


def _describe_range(first: int, last: int) -> str:
    if first == last:
        return str(first)
    return f"{first},{last}" if last == first + 1 else f"{first}-{last}"


def _ranges(ordered: list[int]) -> list[tuple[int, int]]:
    """Return the runs of consecutive numbers as pairs of first and last."""
    found: list[tuple[int, int]] = []
    for value in ordered:
        if found and found[-1][1] == value - 1:
            found[-1] = (found[-1][0], value)
        else:
            found.append((value, value))
    return found
