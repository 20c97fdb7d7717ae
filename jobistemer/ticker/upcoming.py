"""What a ticker knows of the near future: definitions and next instants of the jobs that are due soon."""

from __future__ import annotations

import heapq
from collections import deque
from typing import NamedTuple
from zlib import crc32

from jobistemer.core.planning.plan import ON_TIME_MS, Decision
from jobistemer.core.states import OccurrenceState
from jobistemer.store.calls.bulk_claim import OccurrenceClaim
from jobistemer.store.calls.jobs import StoredJob

DEFAULT_GRACE_S = 60.0


class PreparedClaim(NamedTuple):
    """What becomes of a due mark that is claimed on time, and the claim itself when it is a plain one."""

    decision: Decision
    firing: OccurrenceClaim | None


class UpcomingJobs:
    """Jobs that are due within the horizon, by their due marks (ms)."""

    class DueJob:
        """One job: its definition, the cursor to decide from, its due mark, and what was made ready for that.

        number: the same for every ticker, so that they can share the jobs out. plain: its last claim was a plain one.
        """

        __slots__ = ("cursor", "due_ms", "job", "job_id", "number", "plain", "prepared", "since", "version")

        def __init__(self, job_id: str, stored: StoredJob, due_ms: int) -> None:
            self.job_id = job_id
            self.job = stored.job
            self.version = stored.version
            self.cursor = stored.cursor
            self.since = stored.since
            self.due_ms = due_ms
            self.number = crc32(job_id.encode())
            self.plain = True
            self.prepared: PreparedClaim | None = None

        def is_on_time(self, now_ms: int) -> bool:
            """Whether the due mark is decided at `now_ms` as it would have been on the dot."""
            return now_ms - self.due_ms < min(ON_TIME_MS, self.job.grace_s * 1000)

        def advance(self, decision: Decision) -> None:
            """Note that an instant is decided."""
            self.cursor, self.due_ms, self.prepared = decision.instant, decision.look_at_ms, None
            if decision.state is not OccurrenceState.SKIPPED:
                self.since = decision.since if decision.state is OccurrenceState.COMPRESSED else None

        def skip_to(self, mark: int) -> None:
            """Take it that another ticker has decided the due mark on time, and that `mark` comes next.

            Should that be wrong, then the claim from this cursor is refused, and the job is read anew.
            """
            self.cursor, self.due_ms, self.prepared = self.due_ms // 1000, mark, None

    def __init__(self) -> None:
        self._jobs: dict[str, UpcomingJobs.DueJob] = {}
        # Heap of (due mark, job id); an entry that has moved on or gone is recognised and passed over.
        self._heap: list[tuple[int, str]] = []
        self._unprepared: deque[UpcomingJobs.DueJob] = deque()

    def __len__(self) -> int:
        return len(self._jobs)

    def find_unknown(self, marks: dict[str, int], now_ms: int) -> list[str]:
        """The jobs among `marks` (job id -> due mark) whose definition or due mark is not known here.

        A mark that has moved on from one that is due is no news: another ticker was quicker, which `skip_to` notes.
        """
        due_jobs = self._jobs
        return [job for job, mark in marks.items() if not _is_known(due_jobs.get(job), mark, now_ms)]

    def grace_ms(self, job_id: str) -> int:
        """The grace period of a job; of one that cannot be read, the default."""
        due_job = self._jobs.get(job_id)
        return round((due_job.job.grace_s if due_job else DEFAULT_GRACE_S) * 1000)

    def add(self, job_id: str, stored: StoredJob, due_ms: int) -> None:
        """Take note of a job and its due mark."""
        self._push(UpcomingJobs.DueJob(job_id, stored, due_ms))

    def pop_due(self, now_ms: int) -> list[DueJob]:
        """Take out the jobs that are due at `now_ms`, the latest first: what is on time goes before what was missed.

        Until `put_back` a job is unknown: should its claims fail, the next look reads it anew.
        """
        due = []
        while self._heap and self._heap[0][0] <= now_ms:
            mark, job = heapq.heappop(self._heap)
            due_job = self._jobs.get(job)
            if due_job is not None and due_job.due_ms == mark:
                due.append(self._jobs.pop(job))
        due.reverse()
        return due

    def put_back(self, due_job: DueJob, horizon_ms: int) -> None:
        """Wait for the next due mark of a job that was taken out; one behind the horizon is for a later look."""
        if due_job.due_ms <= horizon_ms:
            self._push(due_job)

    def take_unprepared(self, most: int) -> list[DueJob]:
        """Up to `most` jobs for whose next due mark nothing has been made ready."""
        return [self._unprepared.popleft() for _ in range(min(most, len(self._unprepared)))]

    @property
    def has_unprepared(self) -> bool:
        """Whether there is something to make ready while nothing is due."""
        return bool(self._unprepared)

    def next_ms(self) -> int | None:
        """The first due mark that is known to come."""
        return self._heap[0][0] if self._heap else None

    def _push(self, due_job: DueJob) -> None:
        self._jobs[due_job.job_id] = due_job
        heapq.heappush(self._heap, (due_job.due_ms, due_job.job_id))
        self._unprepared.append(due_job)


def _is_known(due_job: UpcomingJobs.DueJob | None, mark: int, now_ms: int) -> bool:
    return due_job is not None and (due_job.due_ms == mark or (due_job.due_ms <= now_ms and due_job.due_ms < mark))
