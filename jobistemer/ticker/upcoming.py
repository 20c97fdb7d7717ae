"""The near future of a ticker: definitions and next instants of the jobs that are due soon, and claims built ahead."""

from __future__ import annotations

import heapq
import logging
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

from jobistemer.core.planning.plan import ON_TIME_MS, Decision, plan
from jobistemer.core.states import OccurrenceState
from jobistemer.runtime.log_limit import log_limited
from jobistemer.runtime.logging import facts
from jobistemer.store.calls.bulk_claim import OccurrenceClaim, prepare_claim
from jobistemer.store.calls.jobs import StoredJob
from jobistemer.store.keys import Keys

DEFAULT_GRACE_S = 60.0

log = logging.getLogger("jobistemer.ticker")


class DueJob:
    """One job that is due soon: its definition, the cursor to decide from, its due mark (ms), and the claim of that.

    number: a number of the job that is the same for every ticker. plain: whether its last claim was a plain one.
    on_time_ms: the lateness below which the due mark is decided as if there were none. is_prepared: whether `prepared`
    was built for this due mark; it is None all the same when the mark is not plain.
    """

    __slots__ = (
        "cursor",
        "due_ms",
        "is_prepared",
        "job",
        "job_id",
        "number",
        "on_time_ms",
        "plain",
        "prepared",
        "since",
        "version",
    )

    def __init__(self, job_id: str, stored: StoredJob, due_ms: int) -> None:
        self.job_id = job_id
        self.job = stored.job
        self.version = stored.version
        self.cursor = stored.cursor
        self.since = stored.since
        self.due_ms = due_ms
        self.number = crc32(job_id.encode())
        self.on_time_ms = min(ON_TIME_MS, stored.job.grace_s * 1000)
        self.plain = True
        self.is_prepared = False
        self.prepared: OccurrenceClaim | None = None

    def decide(self, now_ms: int, limit: int) -> list[Decision]:
        """Decide the earliest `limit` instants that are due at `now_ms`; none when the job cannot be planned here."""
        try:
            return plan(self.job, self.cursor, now_ms, limit, self.since)
        except Exception as error:  # noqa: BLE001 - a custom schedule is user code
            # One job that cannot be planned (a custom schedule that this ticker does not know) holds up no other.
            text, known = "job %s cannot be planned here: %s", facts(job=self.job_id)
            log_limited(log, logging.ERROR, f"plan {self.job_id}", text, self.job.name, error, extra=known)
            return []

    def prepare(self, keys: Keys) -> None:
        """Build the claim of the due mark ahead, as if the mark were claimed on the dot."""
        self.is_prepared = True
        decisions = self.decide(self.due_ms, 2)
        # A due mark that is no instant ends a pause in catching up; which instants are due then shows only at its end.
        if len(decisions) == 1 and decisions[0].instant * 1000 == self.due_ms:
            self.prepared = prepare_claim(keys, self.job, self.version, decisions[0])

    def build_claim(self, keys: Keys, now_ms: int) -> OccurrenceClaim | None:
        """Return the claim of the due mark at `now_ms`, built ahead where possible; None when it is not plain."""
        late_ms = now_ms - self.due_ms
        if late_ms < self.on_time_ms:
            if not self.is_prepared:
                self.prepare(keys)
            return self.prepared
        if late_ms > self.job.grace_s * 1000:
            # Something was missed, and a recovery strategy decides about more than this instant.
            return None
        # Late, but within the grace period: one instant now, and the next one in the next round. Without this a ticker
        # that falls behind would claim singly, at twice the cost, and fall behind further.
        decisions = self.decide(now_ms, 1)
        return prepare_claim(keys, self.job, self.version, decisions[0]) if decisions else None

    def advance(self, decision: Decision) -> None:
        """Move the cursor behind an instant that is decided."""
        self.cursor, self.due_ms = decision.instant, decision.look_at_ms
        self.is_prepared, self.prepared = False, None
        if decision.state is not OccurrenceState.SKIPPED:
            self.since = decision.since if decision.state is OccurrenceState.COMPRESSED else None

    def skip_to(self, mark: int) -> None:
        """Assume that another ticker has decided the due mark on time, and that `mark` comes next.

        A wrong assumption does no harm: the claim from this cursor is refused, and the job is read anew.
        """
        self.cursor, self.due_ms = self.due_ms // 1000, mark
        self.is_prepared, self.prepared = False, None


class Share(NamedTuple):
    """The jobs that a ticker fires first: those whose number falls to its position among the live tickers."""

    position: int = 0
    of: int = 1

    def split(self, due_jobs: Sequence[DueJob]) -> tuple[Sequence[DueJob], Sequence[DueJob]]:
        """Split jobs into those of this ticker and those of the others."""
        if self.of == 1:
            return due_jobs, ()
        mine: list[DueJob] = []
        others: list[DueJob] = []
        for due_job in due_jobs:
            (mine if due_job.number % self.of == self.position else others).append(due_job)
        return mine, others


class UpcomingJobs:
    """The jobs that are due within the horizon, by their due marks (ms)."""

    def __init__(self) -> None:
        self.jobs: dict[str, DueJob] = {}
        # Heap of (due mark, job id). An entry is never removed from its middle: one whose job has moved on or is gone
        # is recognised by the mark when it comes up, and passed over.
        self._heap: list[tuple[int, str]] = []
        self._unprepared: deque[DueJob] = deque()

    def find_unknown(self, marks: dict[str, int], now_ms: int) -> list[str]:
        """Return the jobs among `marks` (job id -> due mark) whose definition or due mark is not known here.

        A mark that has moved on from one that is due counts as known: another ticker was quicker, and `skip_to` takes
        that in. Otherwise each instant would make every other ticker read the definitions of all jobs again.
        """
        jobs = self.jobs
        return [
            job_id
            for job_id, mark in marks.items()
            if (due_job := jobs.get(job_id)) is None
            or (due_job.due_ms != mark and (due_job.due_ms > now_ms or due_job.due_ms > mark))
        ]

    def grace_ms(self, job_id: str) -> int:
        """Return the grace period of a job in ms; the default for a job that cannot be read."""
        due_job = self.jobs.get(job_id)
        return round((due_job.job.grace_s if due_job else DEFAULT_GRACE_S) * 1000)

    def put(self, due_job: DueJob, horizon_ms: int) -> None:
        """Wait for the due mark of a job, unless it lies behind the horizon: that is for a later look."""
        if due_job.due_ms <= horizon_ms:
            self.jobs[due_job.job_id] = due_job
            heapq.heappush(self._heap, (due_job.due_ms, due_job.job_id))
            self._unprepared.append(due_job)

    def pop_due(self, now_ms: int) -> list[DueJob]:
        """Take out the jobs that are due at `now_ms`, the latest first: on-time instants go before missed ones.

        A job that was taken out is unknown until it is put back: should its claim fail, the next look reads it anew.
        """
        due = []
        while self._heap and self._heap[0][0] <= now_ms:
            mark, job_id = heapq.heappop(self._heap)
            due_job = self.jobs.get(job_id)
            if due_job is not None and due_job.due_ms == mark:
                due.append(self.jobs.pop(job_id))
        due.reverse()
        return due

    def take_unprepared(self, most: int) -> list[DueJob]:
        """Take up to `most` jobs for whose next due mark no claim has been built."""
        return [self._unprepared.popleft() for _ in range(min(most, len(self._unprepared)))]

    @property
    def has_unprepared(self) -> bool:
        """Whether there are claims to build while nothing is due."""
        return bool(self._unprepared)

    def next_ms(self) -> int | None:
        """Return the first due mark that is known to come, or None."""
        return self._heap[0][0] if self._heap else None
