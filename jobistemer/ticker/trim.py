"""Trim: keep the histories of jobs within their retention, a little at a time.

Only a claim makes a history longer, so the ticker that claimed remembers whose: nothing else has to be looked at, and
should it die, the job's next claim is noted by another one.
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
    """One pass every ten seconds over the histories that have grown since."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._grown: dict[str, Job] = {}
        self._next = 0.0

    def remember(self, grown: Mapping[str, Job]) -> None:
        """Remember jobs whose history has grown."""
        self._grown.update(grown)

    def trim_if_due(self) -> int:
        """Do one pass when it is time for it; how many occurrences were removed."""
        if time.monotonic() < self._next:
            return 0
        self._next = time.monotonic() + TRIM_EVERY_S
        return self.trim()

    def trim(self) -> int:
        """Do one pass; how many occurrences were removed."""
        removed = 0
        for _ in range(min(MAX_STEPS, len(self._grown))):
            job_id, job = next(iter(self._grown.items()))
            del self._grown[job_id]
            step = trim_step(self._database, job)
            removed += step
            if step >= STEP // 2:
                # There may be more; the others come first.
                self._grown[job_id] = job
        return removed
