"""What is going on in a namespace at one moment, read in a few round trips."""

from __future__ import annotations

import msgspec

from jobistemer.core.listings import DelayedRun, JobSummary, QueueSummary, TickerSummary, WorkerSummary
from jobistemer.core.records import OccurrenceRecord
from jobistemer.store import census, listings
from jobistemer.store.namespace import Namespace

JOBS, OCCURRENCES, WAITING = 12, 12, 6


class Scene(msgspec.Struct, frozen=True):
    """One moment; the latest occurrences come first."""

    at_ms: int
    jobs: list[JobSummary]
    occurrences: list[OccurrenceRecord]
    queues: list[QueueSummary]
    delayed: int
    waiting: list[DelayedRun]
    workers: list[WorkerSummary]
    tickers: list[TickerSummary]

    @property
    def rate(self) -> float:
        """Runs per second of all workers."""
        return sum(worker.rate for worker in self.workers if self.at_ms - worker.beat_at < 5_000)

    def job_name(self, job_id: str) -> str:
        """The name of a job; the id of one that is not on the scene."""
        return next((job.name for job in self.jobs if job.id == job_id), job_id)


def look(namespace: Namespace) -> Scene:
    """Read what is going on. Raises NotConnected or ServerRefused."""
    shards = namespace.shards
    now_ms = shards[0].read_clock()
    jobs = listings.list_jobs(shards, limit=JOBS)
    return Scene(
        at_ms=now_ms,
        jobs=jobs,
        occurrences=listings.latest_occurrences(shards, [job.id for job in jobs], OCCURRENCES),
        queues=census.list_queues(shards),
        delayed=listings.delayed_total(shards),
        waiting=listings.list_delayed(shards, WAITING),
        workers=census.list_workers(shards),
        tickers=census.list_tickers(shards),
    )
