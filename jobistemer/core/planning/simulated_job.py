"""The simulation of one job on a virtual clock, a day at a time, with an assumed duration of its runs.

The result of a day follows from its instants and from the runs that are unfinished as it begins. Both repeat: a
minutely job has one kind of day, a weekly job a few. So a day that was simulated before, from the same beginning, is
looked up; only around changes of the clock, and where calendars or a jitter make days differ, each instant is played.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable
from typing import NamedTuple

from jobistemer.core import ids
from jobistemer.core.jobs.job import Job, Overlap
from jobistemer.core.planning.recovery import is_excluded
from jobistemer.core.schedules.delays import start_delay_ms
from jobistemer.core.schedules.instants import DAY

MAX_KEPT = 500
"""How many days of one job are kept for look-up."""


class RunTimes(NamedTuple):
    """The runs of a job in a span of time: when each begins and ends, in seconds from the first second of the span.

    A run that began earlier begins at 0, and a run that goes on has no end here.
    """

    begins: tuple[int, ...]
    ends: tuple[int, ...]


class _Unfinished(NamedTuple):
    """The unfinished runs of a job at the beginning of a day, in seconds from that beginning.

    running: the ends of the runs that the overlap policy counts. waiting: the starts of queued runs. spans: the runs
    that have not ended.
    """

    running: tuple[int, ...] = ()
    waiting: tuple[int, ...] = ()
    spans: tuple[tuple[int, int], ...] = ()


class _Day(NamedTuple):
    """The result of one day."""

    shape: RunTimes
    counts: Counter[str]
    most: int
    unfinished: _Unfinished


class SimulatedJob:
    """One job in a simulation: `counts` has its instants so far, by the names of the fields of a JobLoad."""

    def __init__(self, job: Job, duration: int) -> None:
        self._job, self._duration = job, duration
        self._unfinished = _Unfinished()
        self._known_days: dict[Hashable, _Day] = {}
        jitter, spread = (getattr(job.schedule, bound, 0) for bound in ("jitter", "spread"))
        self._repeats, self._delayed = not (job.calendars or jitter), bool(jitter or spread)
        self.counts: Counter[str] = Counter()
        self.most = 0

    def simulate(self, start: int, end: int) -> RunTimes:
        """Simulate the instants in [start, end), a day or less that follows the span before. Returns the runs."""
        key = self._job.schedule.day_key(start) if self._repeats and end - start == DAY else None
        day = None if key is None else self._known_days.get((key, self._unfinished))
        if day is None:
            before = self._unfinished
            day = self._simulate(start, end)
            if key is not None and len(self._known_days) < MAX_KEPT:
                self._known_days[key, before] = day
        self._unfinished = day.unfinished
        self.counts.update(day.counts)
        self.most = max(self.most, day.most)
        return day.shape

    def _simulate(self, start: int, end: int) -> _Day:
        playback = _Playback(self._job, self._duration, self._unfinished)
        for instant in self._job.schedule.unix_between(start - 1, end - 1):
            playback.counts["due"] += 1
            if is_excluded(self._job, instant):
                playback.counts["excluded"] += 1
                continue
            delay_s = 0
            if self._delayed:
                occurrence = ids.occurrence_id(self._job.id, instant)
                delay_s = start_delay_ms(self._job.schedule, occurrence, self._job.id) // 1000
            playback.fire(instant - start, delay_s)
        return playback.finish(end - start)


class _Playback:
    """A span of time while it is simulated; all times are seconds from its beginning."""

    def __init__(self, job: Job, duration: int, unfinished: _Unfinished) -> None:
        self._overlap, self._max_queued, self._duration = job.overlap, job.max_queued, duration
        self._running, self._waiting = deque(unfinished.running), deque(unfinished.waiting)
        self._spans = list(unfinished.spans)
        self.counts: Counter[str] = Counter()
        self._most = 0

    def fire(self, instant: int, delay_s: int) -> None:
        """Apply the overlap policy to an instant whose run would begin after a delay."""
        for queue in (self._running, self._waiting):
            while queue and queue[0] <= instant:
                queue.popleft()
        begins = instant + delay_s
        if self._running:
            self.counts["overlaps"] += 1
            if self._is_skipped():
                self.counts["skipped"] += 1
                return
            begins = self._apply_overlap(instant, begins)
        self.counts["ran"] += 1
        self._running.append(begins + self._duration)
        self._most = max(self._most, 1 if self._overlap != Overlap.ALLOW else len(self._running))
        self._spans.append((begins, begins + self._duration))

    def finish(self, end: int) -> _Day:
        """Return the result of the span."""
        begins = tuple(max(first, 0) for first, last in self._spans if max(first, 0) < min(end, last))
        ends = tuple(last for first, last in self._spans if max(first, 0) < last < end)
        unfinished = _Unfinished(
            tuple(each - end for each in self._running if each > end),
            tuple(each - end for each in self._waiting if each > end),
            tuple((first - end, last - end) for first, last in self._spans if last > end),
        )
        return _Day(RunTimes(begins, ends), self.counts, self._most, unfinished)

    def _is_skipped(self) -> bool:
        full = len(self._waiting) >= self._max_queued
        return self._overlap == Overlap.SKIP or (self._overlap == Overlap.QUEUE and full)

    def _apply_overlap(self, instant: int, begins: int) -> int:
        """Return when the run of an instant begins that is due while another run goes on, and is not skipped."""
        if self._overlap == Overlap.QUEUE:
            self.counts["queued"] += 1
            self._waiting.append(self._running[-1])
            return self._running[-1]
        if self._overlap == Overlap.REPLACE:
            self.counts["replaced"] += 1
            self._running.clear()
            first, last = self._spans[-1]
            self._spans[-1] = first, max(first, min(last, instant))
            # The run that it would have waited for has just been ended.
            return instant
        return begins
