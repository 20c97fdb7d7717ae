"""The definitions that runs in flight are pinned to, read once each."""

from __future__ import annotations

from jobistemer.core.jobs.job import Job
from jobistemer.store.calls import jobs
from jobistemer.store.database import Database

MAX_CACHED = 2_000


class DefinitionCache:
    """Versions never change, so what was read once stays true; the oldest go when there are many."""

    def __init__(self) -> None:
        self._cache: dict[tuple[str, int], Job] = {}

    def find(self, database: Database, job_id: str, version: int) -> Job | None:
        """One version of a job; None when its retention is over."""
        key = (job_id, version)
        job = self._cache.get(key) or jobs.find_version(database, job_id, version)
        if job is not None and key not in self._cache:
            if len(self._cache) >= MAX_CACHED:
                del self._cache[next(iter(self._cache))]
            self._cache[key] = job
        return job
