"""Trim: keep the histories of jobs within their retention, a few occurrences at a time.

Only a claim makes a history longer, so the ticker that has claimed remembers the job, and no other job has to be
checked. Should that ticker die, the job's next claim is remembered by another one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from jobistemer.core.jobs.job import Job
from jobistemer.store.actions.trim import STEP, trim_step
from jobistemer.store.database import Database

TRIM_EVERY_S = 10.0
MAX_STEPS = 50
"""How many steps one pass takes, so that instants stay on time meanwhile."""


class Trimmer:
    """The trimming of one shard: one pass every ten seconds over the histories that have grown since."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._grown: dict[str, Job] = {}
        self._next = 0.0

    def remember(self, grown: Mapping[str, Job]) -> None:
        """Remember jobs whose history has grown."""
        self._grown.update(grown)

    def trim_if_due(self) -> int:
        """Trim when it is time for it. Returns how many occurrences were removed."""
        if time.monotonic() < self._next:
            return 0
        self._next = time.monotonic() + TRIM_EVERY_S
        return self.trim()

    def trim(self) -> int:
        """Take up to MAX_STEPS steps. Returns how many occurrences were removed."""
        removed = 0
        for _ in range(min(MAX_STEPS, len(self._grown))):
            job_id, job = next(iter(self._grown.items()))
            del self._grown[job_id]
            step = trim_step(self._database, job)
            removed += step
            if step >= STEP // 2:
                # There may be more to remove; put last, so that one long history does not delay the others.
                self._grown[job_id] = job
        return removed
