"""What is going on in a namespace at one moment, read in a few round trips."""

from __future__ import annotations

from collections import deque

import msgspec

from jobistemer.core.reads.summaries import DelayedRun, JobSummary, QueueSummary, TickerSummary, WorkerSummary
from jobistemer.core.runs.records import OccurrenceRecord
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads import jobs as listings
from jobistemer.store.reads import queues as census

JOBS, OCCURRENCES, WAITING = 12, 50, 6
PACE_OVER_MS = 3_000


class Snapshot(msgspec.Struct, frozen=True):
    """One moment; the latest occurrences come first."""

    at_ms: int
    jobs: list[JobSummary]
    occurrences: list[OccurrenceRecord]
    queues: list[QueueSummary]
    delayed: int
    waiting: list[DelayedRun]
    workers: list[WorkerSummary]
    tickers: list[TickerSummary]

    def job_name(self, job_id: str) -> str:
        """The name of a job; the id of one that is not on the snapshot."""
        return next((job.name for job in self.jobs if job.id == job_id), job_id)


class RunRate:
    """Runs per second over the last few seconds, from what the workers say they have done."""

    def __init__(self) -> None:
        self._before: deque[tuple[int, dict[str, int]]] = deque()

    def update(self, snapshot: Snapshot) -> float:
        """The pace up to this snapshot; scenes are to be given in order."""
        self._before.append((snapshot.at_ms, {worker.id: worker.done for worker in snapshot.workers}))
        while snapshot.at_ms - self._before[0][0] > PACE_OVER_MS:
            self._before.popleft()
        (since, then), (now, done) = self._before[0], self._before[-1]
        # A worker that came or went in between counts with what is known of it from both ends.
        runs = sum(count - then.get(worker, count) for worker, count in done.items())
        return runs * 1000 / (now - since) if now > since else 0.0


def read_snapshot(namespace: Namespace) -> Snapshot:
    """Read what is going on. Raises NotConnected or ServerRefused."""
    shards = namespace.shards
    now_ms = shards[0].read_clock()
    jobs = listings.list_jobs(shards, limit=JOBS)
    return Snapshot(
        at_ms=now_ms,
        jobs=jobs,
        occurrences=listings.list_latest(shards, [job.id for job in jobs], OCCURRENCES),
        queues=census.list_queues(shards),
        delayed=listings.count_delayed(shards),
        waiting=listings.list_delayed(shards, WAITING),
        workers=census.list_workers(shards),
        tickers=census.list_tickers(shards),
    )
