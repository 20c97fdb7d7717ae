"""The due instants of both engines over 400 days, side by side: each that only one of the two knows.

A schedule with more instants than MAX_COMPARED is compared on chosen days instead of on all of them: around every
change of its clock, and the first and last days of months. The report says how many instants were compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

import msgspec

from jobistemer.core.schedules.clock_changes import find_clock_changes
from jobistemer.migrate.found import FoundJob, Instants

ALL_DAYS = timedelta(days=400)
"""Over every change of the clock of a year, and every month's end."""
MAX_COMPARED = 20_000
MAX_DIFFERENCES = 1_000


class InstantDifference(msgspec.Struct, frozen=True):
    """An instant at which one of the two engines is due and the other is not. only_in: its name."""

    at: datetime
    only_in: str


class Comparison(msgspec.Struct, frozen=True):
    """The comparison of one job. compared: how many instants of both; complete: whether on every one of the 400 days.

    differences: at most MAX_DIFFERENCES. error: why the other engine gave no instants, empty when it did.
    """

    job: str
    compared: int
    complete: bool
    differences: list[InstantDifference]
    error: str = ""


def compare_job(job: FoundJob, engine: str, start: datetime) -> Comparison | None:
    """Compare the instants of a job with the other engine's; None when there are none to compare with."""
    if job.theirs is None:
        return None
    end = start + ALL_DAYS
    ours_count = sum(1 for _ in islice(_our_instants(job, start, end), MAX_COMPARED + 1))
    complete = ours_count <= MAX_COMPARED
    spans = [(start, end)] if complete else list(_chosen_spans(job, start, end))
    compared, found = 0, []
    for first, last in spans:
        ours = set(islice(_our_instants(job, first, last), MAX_COMPARED))
        try:
            theirs = set(islice(_their_instants(job.theirs, first, last), 2 * MAX_COMPARED))
        except Exception as error:  # noqa: BLE001 - the code of another engine may raise anything
            return Comparison(job.name, compared, complete, [], f"{type(error).__name__}: {error}")
        compared += len(ours | theirs)
        found += [InstantDifference(at, "jobistemer") for at in ours - theirs]
        found += [InstantDifference(at, engine) for at in theirs - ours]
    ordered = sorted(found, key=lambda each: each.at)
    return Comparison(job.name, compared, complete, ordered[:MAX_DIFFERENCES])


def _our_instants(job: FoundJob, first: datetime, last: datetime) -> Iterator[datetime]:
    for at in job.schedule.between(first, last):
        if not any(calendar.excludes(at) for calendar in job.calendars):
            yield at


def _their_instants(instants: Instants, first: datetime, last: datetime) -> Iterator[datetime]:
    """Yield instants in UTC without their fraction of a second, which schedules here do not have."""
    for at in instants(first):
        second = at.astimezone(UTC).replace(microsecond=0)
        if second > last:
            return
        if second > first:
            yield second


def _chosen_spans(job: FoundJob, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield the days that tell two engines apart: around changes of the clock, month ends, and the first three."""
    timezone = getattr(job.schedule, "timezone", "UTC")
    days = {start + timedelta(days=number) for number in range(3)}
    for change in find_clock_changes(timezone, start, end):
        days |= {change.at.replace(minute=0, second=0, microsecond=0) + timedelta(days=n) for n in (-1, 0)}
    day = start
    while day < end:
        if (day + timedelta(days=1)).day == 1:
            days |= {day, day + timedelta(days=1)}
        day += timedelta(days=1)
    for first in sorted(days):
        yield first, min(first + timedelta(days=1), end)
