"""The cache of the definitions that runs in flight are pinned to, each read once."""

from __future__ import annotations

import threading

from jobistemer.core.jobs.job import Job
from jobistemer.core.runs.message import TaskRef
from jobistemer.store.calls import jobs
from jobistemer.store.database import Database

MAX_CACHED = 2_000


class DefinitionCache:
    """Versions never change, so one that was read stays true; the oldest go when there are many."""

    def __init__(self) -> None:
        self._cache: dict[tuple[str, int], Job] = {}
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Forget all: on a server that was emptied, another definition may get the same version."""
        with self._lock:
            self._cache.clear()

    def find(self, database: Database, slot: TaskRef | None) -> Job | None:
        """Return the version of the job that a run is pinned to; None for a run of no job, and past its retention."""
        if slot is None:
            return None
        key = (slot.job, slot.version)
        job = self._cache.get(key) or jobs.find_version(database, *key)
        if job is not None and key not in self._cache:
            # All committing threads share the cache.
            with self._lock:
                while len(self._cache) >= MAX_CACHED:
                    del self._cache[next(iter(self._cache))]
                self._cache[key] = job
        return job
