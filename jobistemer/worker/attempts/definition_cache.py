"""The definitions that runs in flight are pinned to, read once each."""

from __future__ import annotations

from jobistemer.core.jobs.job import Job
from jobistemer.store.calls import jobs
from jobistemer.store.database import Database

MOST_KEPT = 2_000


class Definitions:
    """Versions never change, so what was read once stays true; the oldest go when there are many."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, int], Job] = {}

    def find(self, database: Database, job_id: str, version: int) -> Job | None:
        """One version of a job; None when its retention is over."""
        key = (job_id, version)
        job = self._found.get(key) or jobs.find_version(database, job_id, version)
        if job is not None and key not in self._found:
            if len(self._found) >= MOST_KEPT:
                del self._found[next(iter(self._found))]
            self._found[key] = job
        return job
