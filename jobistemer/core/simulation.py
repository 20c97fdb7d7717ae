"""Simulate: an app's schedules over a range of time, with assumed durations, without a clock and without a server.

Each job is played through its instants as tickers and workers would: what a calendar excludes does not run, an instant
that comes while an earlier occurrence is assumed to run goes through the overlap policy. How many occurrences run at a
time is counted in one array of seconds for all jobs, so that a year of hundreds of jobs costs no memory per instant.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, islice

import msgspec

from jobistemer.core import ids
from jobistemer.core.models import Job, Overlap
from jobistemer.core.planning import start_delay_ms
from jobistemer.core.recovery import excluding
from jobistemer.core.schedules import Cron, Interval
from jobistemer.core.schedules.clock_changes import ClockChange, clock_changes, shift_note
from jobistemer.core.schedules.instants import instant_at, unix_floor

DAY = 86_400
LONGEST_S = 366 * DAY
DEFAULT_DURATION_S = 60


class JobLoad(msgspec.Struct, frozen=True):
    """What one job does: due instants, what became of them, and how it meets its own earlier occurrences.

    overlaps: instants that came while an earlier occurrence was assumed to run. most: how many run at a time.
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


class Span(msgspec.Struct, frozen=True):
    """One assumed run: Unix seconds, the end not included."""

    start: int
    end: int


class ClockEvent(msgspec.Struct, frozen=True):
    """A change of the clock in a zone that jobs live by; notes: what it does to instants of each job, in words."""

    timezone: str
    change: ClockChange
    jobs: tuple[str, ...]
    notes: tuple[str, ...]


class Simulation(msgspec.Struct, frozen=True):
    """What the schedules do in a range (Unix seconds), and when most occurrences run at a time.

    busiest: the day (its first second) with the peak in it. by_slot: for each quarter of an hour of that day the most
    occurrences at a time. spans: per job the runs of that day, for a picture.
    """

    start: int
    end: int
    jobs: tuple[JobLoad, ...]
    peak: int
    peak_at: int
    busiest: int
    by_slot: tuple[int, ...]
    spans: dict[str, tuple[Span, ...]]
    clock_events: tuple[ClockEvent, ...]


AROUND_S, MOST_AROUND, MOST_NOTES = 2 * 3600, 200, 3
"""How far around a change of the clock instants are looked at, how many, and how many are told."""
SLOTS = 96
"""Quarters of an hour in a day."""
MOST_SPANS = 2_000
"""How many runs of one job are kept for the picture."""


class _Tally:
    """Counts of one job while it is played."""

    def __init__(self) -> None:
        self.due = self.ran = self.skipped = self.queued = self.replaced = self.excluded = self.overlaps = self.most = 0


def simulate(jobs: Sequence[Job], durations: Mapping[str, int], start: int, end: int) -> Simulation:
    """Play jobs from `start` to `end` (Unix seconds); durations: assumed seconds by job, 60 for those not named."""
    # Counted at both ends of each run; the sum up to a second is how many run then.
    steps = array("i", bytes(4 * (end - start + 1)))
    loads = []
    for job in jobs:
        duration = durations.get(job.name, DEFAULT_DURATION_S)
        tally = _Tally()
        for span in _cut_short(job, _runs(job, duration, start, end, tally)):
            steps[min(span[0], end) - start] += 1
            steps[min(span[1], end) - start] -= 1
        loads.append(_load(job, tally, duration))
    peak, peak_at = _peak(steps, start)
    busiest = max(start, peak_at - peak_at % DAY)
    return Simulation(
        *(start, end, tuple(loads), peak, peak_at, busiest, _slots(steps, start, busiest)),
        _day(jobs, durations, busiest, min(busiest + DAY, end)),
        tuple(_clock_events(jobs, start, end)),
    )


def _runs(job: Job, duration: int, start: int, end: int, tally: _Tally) -> Iterator[tuple[int, int]]:
    """The assumed runs of a job: start and end of each."""
    running: deque[int] = deque()
    delayed = getattr(job.schedule, "jitter", 0) or getattr(job.schedule, "spread", 0)
    overlap, waiting = job.overlap, deque[int]()
    for instant in job.schedule.unix_between(start - 1, end - 1):
        tally.due += 1
        if job.calendars and excluding(job, instant) is not None:
            tally.excluded += 1
            continue
        while running and running[0] <= instant:
            running.popleft()
        while waiting and waiting[0] <= instant:
            waiting.popleft()
        begins = instant
        if delayed:
            begins += start_delay_ms(job, ids.occurrence_id(job.id, instant)) // 1000
        if running:
            tally.overlaps += 1
            if overlap == Overlap.SKIP or (overlap == Overlap.QUEUE and len(waiting) >= job.max_queued):
                tally.skipped += 1
                continue
            if overlap == Overlap.QUEUE:
                tally.queued += 1
                begins = running[-1]
                waiting.append(begins)
            elif overlap != Overlap.ALLOW:
                tally.replaced += 1
                running.clear()
        tally.ran += 1
        running.append(begins + duration)
        alive = 1 if overlap != Overlap.ALLOW else len(running)
        tally.most = max(tally.most, alive)
        yield begins, begins + duration


def _cut_short(job: Job, runs: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The runs as they really end where a later one takes the place of an earlier one."""
    if job.overlap in (Overlap.SKIP, Overlap.QUEUE, Overlap.ALLOW):
        yield from runs
        return
    before: tuple[int, int] | None = None
    for run in runs:
        if before is not None:
            yield before[0], min(before[1], run[0])
        before = run
    if before is not None:
        yield before


def _load(job: Job, tally: _Tally, duration: int) -> JobLoad:
    return JobLoad(
        *(job.name, tally.due, tally.ran, tally.skipped, tally.queued, tally.replaced, tally.excluded),
        *(tally.overlaps, tally.most, duration),
    )


def _peak(steps: array[int], start: int) -> tuple[int, int]:
    most = peak_at = 0
    for second, running in enumerate(accumulate(steps)):
        if running > most:
            most, peak_at = running, second
    return most, start + peak_at


def _slots(steps: array[int], start: int, day: int) -> tuple[int, ...]:
    first = day - start
    running = list(accumulate(steps[first : first + DAY], initial=sum(steps[:first])))[1:]
    width = DAY // SLOTS
    return tuple(max(running[at : at + width], default=0) for at in range(0, DAY, width))


def _day(jobs: Sequence[Job], durations: Mapping[str, int], start: int, end: int) -> dict[str, tuple[Span, ...]]:
    found = {}
    for job in jobs:
        duration = durations.get(job.name, DEFAULT_DURATION_S)
        runs = _cut_short(job, _runs(job, duration, start, end, _Tally()))
        found[job.name] = tuple(Span(*run) for run, _ in zip(runs, range(MOST_SPANS), strict=False))
    return found


def _clock_events(jobs: Sequence[Job], start: int, end: int) -> Iterator[ClockEvent]:
    zones: dict[str, list[Job]] = {}
    for job in jobs:
        if isinstance(job.schedule, Cron | Interval):
            zones.setdefault(job.schedule.timezone, []).append(job)
    span = (instant_at(start), instant_at(end))
    for timezone, living in sorted(zones.items()):
        for change in clock_changes(timezone, *span):
            notes = tuple(note for job in living for note in _shifted(job, timezone, unix_floor(change.at)))
            yield ClockEvent(timezone, change, tuple(job.name for job in living), notes)


def _shifted(job: Job, timezone: str, change: int) -> Iterator[str]:
    """What a change of the clock does to the instants around it, the first few of them."""
    around = islice(job.schedule.unix_between(change - AROUND_S, change + AROUND_S), MOST_AROUND)
    noted = ((instant_at(each), shift_note(job.schedule, instant_at(each), timezone)) for each in around)
    for at, note in islice(((at, note) for at, note in noted if note), MOST_NOTES):
        yield f"{job.name} at {at:%Y-%m-%d %H:%M:%S} UTC: {note}"
