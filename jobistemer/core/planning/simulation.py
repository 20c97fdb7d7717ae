"""The simulation of an app's schedules over a range of time, with assumed durations, without clock and server.

Each job goes through its instants as it would with tickers and workers: an instant that a calendar excludes does not
run, an instant that is due while an earlier occurrence is assumed to run goes through the overlap policy. The number
of occurrences at a time is counted in one array of seconds for all jobs, which is changed from day to day only where
the days of a job differ.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, islice

import msgspec

from jobistemer.core.jobs.job import Job
from jobistemer.core.planning.simulated_job import RunTimes, SimulatedJob
from jobistemer.core.schedules import Cron, Interval
from jobistemer.core.schedules.clock_changes import ClockChange, describe_shift, find_clock_changes
from jobistemer.core.schedules.instants import DAY, instant_at, unix_floor

LONGEST_S = 366 * DAY
DEFAULT_DURATION_S = 60


class JobLoad(msgspec.Struct, frozen=True):
    """The load of one job: its due instants by result, and how often it meets its own earlier occurrences.

    overlaps: instants that were due while an earlier occurrence was assumed to run. most: how many run at a time.
    """

    job: str
    due: int
    ran: int
    skipped: int
    queued: int
    replaced: int
    excluded: int
    overlaps: int
    most: int
    duration_s: int


class AssumedRun(msgspec.Struct, frozen=True):
    """One assumed run: Unix seconds, the end not included."""

    start: int
    end: int


class ClockEvent(msgspec.Struct, frozen=True):
    """A change of the clock in the time zone of some jobs; notes: its effect on the instants of each job, in words."""

    timezone: str
    change: ClockChange
    jobs: tuple[str, ...]
    notes: tuple[str, ...]


class Simulation(msgspec.Struct, frozen=True):
    """The result of a simulation of a range (Unix seconds), with the peak: most occurrences at a time.

    busiest: the first second of the day of the peak. by_slot: for each quarter of an hour of that day the most
    occurrences at a time. spans: per job the runs of that day, for a chart.
    """

    start: int
    end: int
    jobs: tuple[JobLoad, ...]
    peak: int
    peak_at: int
    busiest: int
    by_slot: tuple[int, ...]
    spans: dict[str, tuple[AssumedRun, ...]]
    clock_events: tuple[ClockEvent, ...]


AROUND_S, MAX_AROUND, MAX_NOTES = 2 * 3600, 200, 3
"""How many seconds around a change of the clock are searched, for how many instants, and how many are described."""
QUARTERS = 96
"""Quarters of an hour in a day."""
MAX_SPANS = 2_000
"""How many runs of one job are kept for the chart."""


def simulate(jobs: Sequence[Job], durations: Mapping[str, int], start: int, end: int) -> Simulation:
    """Simulate jobs from `start` to `end` (Unix seconds); durations: assumed seconds by job, else 60."""
    simulated = [SimulatedJob(job, durations.get(job.name, DEFAULT_DURATION_S)) for job in jobs]
    shapes = [RunTimes((), ())] * len(jobs)
    curve = _ConcurrencyCurve(start, shapes)
    for first in (start, *range(start - start % DAY + DAY, end, DAY)):
        last = min(first - first % DAY + DAY, end)
        played = [simulated_job.simulate(first, last) for simulated_job in simulated]
        curve.change(first, last, shapes, played)
        shapes = played
    loads = (_summarize_job(job, simulated_job, durations) for job, simulated_job in zip(jobs, simulated, strict=True))
    spans = {job.name: tuple(_iter_runs(shape, *curve.day)) for job, shape in zip(jobs, curve.shapes, strict=True)}
    return Simulation(
        start=start,
        end=end,
        jobs=tuple(loads),
        peak=curve.peak,
        peak_at=curve.peak_at,
        busiest=curve.day[0],
        by_slot=curve.by_quarter(),
        spans=spans,
        clock_events=tuple(_iter_clock_events(jobs, start, end)),
    )


class _ConcurrencyCurve:
    """The number of occurrences at a time: the curve of the current day, and the day with the highest peak."""

    def __init__(self, start: int, shapes: Sequence[RunTimes]) -> None:
        # One entry at each end of a run instead of one per second: adding a run costs the same, however long it is. The
        # sum up to a second is the number of runs then.
        self._steps = array("i", bytes(4 * DAY))
        self._busiest = self._steps[:]
        self.peak, self.peak_at, self.day, self.shapes = 0, start, (start, start), shapes

    def change(self, start: int, end: int, before: Sequence[RunTimes], now: Sequence[RunTimes]) -> None:
        """Go on to the next day, or a part of one: replace the runs of the day before by those of this day."""
        changed = [pair for pair in zip(before, now, strict=True) if pair[0] != pair[1]]
        for old, new in changed:
            self._add(old, -1)
            self._add(new, 1)
        if changed and (most := max(accumulate(self._steps))) > self.peak:
            self.peak, self._busiest, self.day, self.shapes = most, self._steps[: end - start], (start, end), now
            self.peak_at = start + next(at for at, running in enumerate(accumulate(self._steps)) if running == most)

    def by_quarter(self) -> tuple[int, ...]:
        """Return the most occurrences at a time in each quarter of an hour of the busiest day."""
        running, width = list(accumulate(self._busiest)), DAY // QUARTERS
        return tuple(max(running[at : at + width], default=0) for at in range(0, DAY, width))

    def _add(self, shape: RunTimes, sign: int) -> None:
        steps = self._steps
        for at in shape.begins:
            steps[at] += sign
        for at in shape.ends:
            steps[at] -= sign


def _summarize_job(job: Job, simulated_job: SimulatedJob, durations: Mapping[str, int]) -> JobLoad:
    kinds = ("due", "ran", "skipped", "queued", "replaced", "excluded", "overlaps")
    return JobLoad(
        job.name,
        **{kind: simulated_job.counts[kind] for kind in kinds},
        most=simulated_job.most,
        duration_s=durations.get(job.name, DEFAULT_DURATION_S),
    )


def _iter_runs(shape: RunTimes, start: int, end: int) -> Iterator[AssumedRun]:
    # Begins and ends are paired in order; the missing ends belong to runs that go on beyond the day.
    going_on = [end - start] * (len(shape.begins) - len(shape.ends))
    for begin, over in islice(zip(sorted(shape.begins), [*sorted(shape.ends), *going_on], strict=True), MAX_SPANS):
        yield AssumedRun(start + begin, start + over)


def _iter_clock_events(jobs: Sequence[Job], start: int, end: int) -> Iterator[ClockEvent]:
    zones: dict[str, list[Job]] = {}
    for job in jobs:
        if isinstance(job.schedule, Cron | Interval):
            zones.setdefault(job.schedule.timezone, []).append(job)
    span = (instant_at(start), instant_at(end))
    for timezone, zone_jobs in sorted(zones.items()):
        for change in find_clock_changes(timezone, *span):
            notes = tuple(note for job in zone_jobs for note in _describe_shifts(job, timezone, unix_floor(change.at)))
            yield ClockEvent(timezone, change, tuple(job.name for job in zone_jobs), notes)


def _describe_shifts(job: Job, timezone: str, change: int) -> Iterator[str]:
    """Yield the effects of a change of the clock on the first few instants around it."""
    around = islice(job.schedule.unix_between(change - AROUND_S, change + AROUND_S), MAX_AROUND)
    noted = ((instant_at(each), describe_shift(job.schedule, instant_at(each), timezone)) for each in around)
    for at, note in islice(((at, note) for at, note in noted if note), MAX_NOTES):
        yield f"{job.name} at {at:%Y-%m-%d %H:%M:%S} UTC: {note}"
