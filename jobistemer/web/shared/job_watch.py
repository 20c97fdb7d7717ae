"""What is known of all jobs of a namespace, read in steps: a look costs the same for any number of jobs.

Reading each job with each look would take a second for ten thousand of them, and keeping sets of failed and paused jobs
in Redis would make the end of each occurrence dearer; see docs/decisions/0532.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import chain
from threading import Lock
from typing import Final, NamedTuple

from jobistemer.store.database import Database
from jobistemer.store.reads.job_states import JobState, list_job_ids, read_job_states

JOBS_PER_LOOK: Final = 500
"""So many jobs are read anew with each look, those first that were read longest ago."""
FRESH_S: Final = 2.0
"""Within so many seconds after a look, another one is answered by the same: pages of several visitors cost one."""


class JobStates(NamedTuple):
    """What is known of the jobs. age_s: how long ago the one was read that was read longest ago."""

    jobs: list[JobState]
    age_s: float


class JobWatch:
    """Reads the states of all jobs, some with each look; the first look reads all of them."""

    def __init__(self, read_clock: Callable[[], float] = time.monotonic) -> None:
        self._read_clock = read_clock
        self._lock = Lock()
        self._known: dict[str, tuple[float, JobState | None]] = {}
        self._looked_at = float("-inf")

    def look(self, shards: Sequence[Database]) -> JobStates:
        """Read the jobs whose turn it is, and return what is known of all of them."""
        with self._lock:
            now = self._read_clock()
            if now - self._looked_at >= FRESH_S:
                self._refresh(shards, now)
                self._looked_at = now
            known = list(self._known.values())
        return JobStates([job for _, job in known if job is not None], now - min((at for at, _ in known), default=now))

    def forget(self, job: str) -> None:
        """Read a job anew with the next look, since it was changed here."""
        with self._lock:
            self._known.pop(job, None)
            self._looked_at = float("-inf")

    def _refresh(self, shards: Sequence[Database], now: float) -> None:
        placed = {job: number for number, each in enumerate(shards) for job in list_job_ids(each)}
        self._known = {job: found for job, found in self._known.items() if job in placed}
        unknown = [job for job in placed if job not in self._known]
        oldest = sorted(self._known, key=lambda job: self._known[job][0])[:JOBS_PER_LOOK]
        for number, database in enumerate(shards):
            chosen = [job for job in chain(unknown, oldest) if placed[job] == number]
            for start in range(0, len(chosen), JOBS_PER_LOOK):
                part = chosen[start : start + JOBS_PER_LOOK]
                found = {each.id: each for each in read_job_states(database, part)}
                self._known |= {job: (now, found.get(job)) for job in part}
