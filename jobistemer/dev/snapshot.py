"""The state of a namespace at one moment, read in a few round trips."""

from __future__ import annotations

from collections import deque

import msgspec

from jobistemer.core.reads.summaries import DelayedRun, JobSummary, QueueSummary, TickerSummary, WorkerSummary
from jobistemer.core.runs.records import OccurrenceRecord
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads import jobs, queues

JOBS, OCCURRENCES, WAITING = 12, 50, 6
RATE_WINDOW_MS = 3_000


class Snapshot(msgspec.Struct, frozen=True):
    """The state at one moment; the latest occurrences come first."""

    at_ms: int
    jobs: list[JobSummary]
    occurrences: list[OccurrenceRecord]
    queues: list[QueueSummary]
    delayed: int
    waiting: list[DelayedRun]
    workers: list[WorkerSummary]
    tickers: list[TickerSummary]

    def job_name(self, job_id: str) -> str:
        """Return the name of a job; its id when the job is not in the snapshot."""
        return next((job.name for job in self.jobs if job.id == job_id), job_id)


class RunRate:
    """Runs per second over the last seconds, from the counts that workers publish with their heartbeats."""

    def __init__(self) -> None:
        self._before: deque[tuple[int, dict[str, int]]] = deque()

    def update(self, snapshot: Snapshot) -> float:
        """Add a snapshot, later than those before, and return the rate up to it in runs per second."""
        self._before.append((snapshot.at_ms, {worker.id: worker.done for worker in snapshot.workers}))
        while snapshot.at_ms - self._before[0][0] > RATE_WINDOW_MS:
            self._before.popleft()
        (since, then), (now, done) = self._before[0], self._before[-1]
        # A worker that came or went in between has one count only: without a difference it adds nothing.
        runs = sum(count - then.get(worker, count) for worker, count in done.items())
        return runs * 1000 / (now - since) if now > since else 0.0


def read_snapshot(namespace: Namespace) -> Snapshot:
    """Read a snapshot. Raises NotConnected or ServerRefused."""
    shards = namespace.shards
    now_ms = shards[0].read_clock()
    listed = jobs.list_jobs(shards, limit=JOBS)
    return Snapshot(
        at_ms=now_ms,
        jobs=listed,
        occurrences=jobs.list_latest(shards, [job.id for job in listed], OCCURRENCES),
        queues=queues.list_queues(shards),
        delayed=jobs.count_delayed(shards),
        waiting=jobs.list_delayed(shards, WAITING),
        workers=queues.list_workers(shards),
        tickers=queues.list_tickers(shards),
    )
