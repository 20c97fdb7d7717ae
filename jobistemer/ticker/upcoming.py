"""The near future of a ticker: the definitions of jobs that are due soon, their due marks, and claims built ahead.

An instant is claimed a little before it is due, so that no run waits for the claims of others, which cost the server
more than the rest of a run does. The entry lies on its stream, and the worker that fetches it keeps it until the
instant by server time. What is not claimed by then is claimed then.
"""

from __future__ import annotations

import heapq
import logging
from collections import OrderedDict
from zlib import crc32

from jobistemer.core.planning.plan import ON_TIME_MS, Decision, plan
from jobistemer.core.states import OccurrenceState
from jobistemer.core.unreadable import LAST_MS
from jobistemer.runtime.log_limit import log_limited
from jobistemer.runtime.logging import facts
from jobistemer.store.calls import jobs
from jobistemer.store.calls.bulk_claim import OccurrenceClaim, prepare_claim
from jobistemer.store.calls.jobs import StoredJob
from jobistemer.store.clock import Clock
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys
from jobistemer.ticker.share import Share
from jobistemer.ticker.unusable_jobs import repair_mark, report_unusable

DEFAULT_GRACE_S = 60.0
PATIENCE_MS = 5
"""How long a ticker leaves the due jobs of the others to them at the least before it looks whether they are decided."""
PREPARED_PER_PASS = 100
"""How many claims are built between two looks for wake-ups, so that a wake-up does not wait for long."""

MIN_LEAD_MS = 3
"""How much earlier the claims of an instant begin at the least, and at the most."""
MAX_LEAD_MS = 350
MS_PER_JOB = 0.08
"""How much earlier they begin for each job that is due at the instant, whichever ticker claims it."""

log = logging.getLogger("jobistemer.ticker")


class DueJob:
    """One job that is due soon: its definition, the cursor to decide from, its due mark (ms), and the claim of that.

    number: a number of the job that is the same for every ticker. is_mine: whether it belongs to this one's `share`.
    look_ms: when this ticker looks at the due mark, which is later than the mark for a job of another one's share.
    plain: whether its last claim was a plain one.
    on_time_ms: the lateness below which the due mark is decided as if there were none. is_prepared: whether `prepared`
    was built for this due mark; it is None all the same when the mark is not plain.
    """

    __slots__ = (
        "cursor",
        "due_ms",
        "is_mine",
        "is_prepared",
        "job",
        "job_id",
        "look_ms",
        "number",
        "on_time_ms",
        "plain",
        "prepared",
        "share",
        "since",
        "version",
    )

    def __init__(self, job_id: str, stored: StoredJob, due_ms: int) -> None:
        self.job_id = job_id
        self.job = stored.job
        self.version = stored.version
        self.cursor = stored.cursor
        self.since = stored.since
        self.due_ms = self.look_ms = due_ms
        self.number = crc32(job_id.encode())
        self.on_time_ms = min(ON_TIME_MS, stored.job.grace_s * 1000)
        self.share: Share | None = None
        self.is_mine = self.plain = True
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


class UpcomingJobs:
    """The jobs that are due within the horizon, by their due marks (ms), and the share of them that is fired first.

    patience_ms: how long the jobs of other tickers' shares are left to them at the least. claims_ahead: whether
    instants are claimed a little before they are due. put_off_until_ms: until when what can wait is put off, for the
    runs.

    The claims of an instant with thousands of jobs begin well before it. For as long after it, its runs need the
    processors and the server: what can wait, such as the claims of the next instants, waits.
    """

    def __init__(self, share: Share | None = None, patience_ms: int = 0, *, claims_ahead: bool = False) -> None:
        self.share = share or Share()
        self.patience_ms = patience_ms
        self.claims_ahead = claims_ahead
        self.jobs: dict[str, DueJob] = {}
        # Ids of jobs that were due in the last pass, and that it has not come to.
        self.untried: set[str] = set()
        # Heap of (look_ms, job id). An entry is never removed from its middle: one whose job has moved on or is gone
        # is recognised by the time when it comes up, and passed over.
        self._heap: list[tuple[int, str]] = []
        self._unprepared: OrderedDict[str, DueJob] = OrderedDict()  # by ids: jobs that lag are put back in each pass
        # How many jobs of this share are due at each instant (one that is read anew counts again), and the last instant
        # that was tried ahead of its time.
        self._due_counts: dict[int, int] = {}
        self._tried_ms = self.put_off_until_ms = 0

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

    def learn(self, database: Database, marks: dict[str, int], now_ms: int, horizon_ms: int) -> None:
        """Read the definitions of the jobs among `marks` that are not known here, each by itself.

        A definition that cannot be read holds up no other. Raises NotConnected or ServerRefused.
        """
        for job_id, stored in jobs.read_jobs(database, self.find_unknown(marks, now_ms)):
            if isinstance(stored, StoredJob):
                mark = marks[job_id]
                # An infinite score is no instant; the one that the job has is stored instead.
                mark = mark if 0 < mark < LAST_MS else repair_mark(database, stored, mark)
                self.put(DueJob(job_id, stored, mark), horizon_ms)
            else:
                report_unusable(database, job_id, stored)

    def grace_ms(self, job_id: str) -> int:
        """Return the grace period of a job in ms; the default for a job that cannot be read."""
        due_job = self.jobs.get(job_id)
        return round((due_job.job.grace_s if due_job else DEFAULT_GRACE_S) * 1000)

    def put(self, due_job: DueJob, horizon_ms: int) -> None:
        """Wait for the due mark of a job, unless it lies behind the horizon: that is for a later look."""
        if due_job.due_ms <= horizon_ms:
            self.jobs[due_job.job_id] = due_job
            self._assign(due_job)

    def divide(self, ticker: str, tickers: list[str]) -> None:
        """Divide the known jobs anew, when a ticker has come or gone."""
        self.share = Share(ticker, tickers)
        self._heap, self._unprepared, self._due_counts = [], OrderedDict(), {}
        for due_job in self.jobs.values():
            self._assign(due_job)

    def _assign(self, due_job: DueJob) -> None:
        """Wait for a job: for its due mark, or for the moment when its ticker has not decided it in time."""
        if due_job.share is not self.share:
            # Asked once for each division: this comes with every instant.
            due_job.share, due_job.is_mine = self.share, self.share.is_alone or self.share.owns(due_job.number)
        # Those of other tickers are left: this one will mostly find them decided, and builds the few that it needs.
        if due_job.is_mine:
            due_job.look_ms = due_job.due_ms
            self._unprepared[due_job.job_id] = due_job
            self._due_counts[due_job.due_ms] = self._due_counts.get(due_job.due_ms, 0) + 1
        else:
            # They are thousands where this share is, and then their runs need the processors first.
            lead = lead_ms(self._due_counts.get(due_job.due_ms, 0), len(self.share.tickers)) if self.claims_ahead else 0
            due_job.look_ms = due_job.due_ms + max(self.patience_ms, lead)
        heapq.heappush(self._heap, (due_job.look_ms, due_job.job_id))

    def pop_due(self, now_ms: int) -> list[DueJob]:
        """Take out the jobs to look at at `now_ms`, the latest first: on-time instants go before missed ones.

        A job that was taken out is unknown until it is put back: should its claim fail, the next look reads it anew.
        """
        due = []
        while self._heap and self._heap[0][0] <= now_ms:
            look_ms, job_id = heapq.heappop(self._heap)
            due_job = self.jobs.get(job_id)
            if due_job is not None and due_job.look_ms == look_ms:
                due.append(self.jobs.pop(job_id))
        self._due_counts = {due_ms: count for due_ms, count in self._due_counts.items() if due_ms > now_ms}
        due.reverse()
        return due

    def pop_ahead(self, now_ms: int) -> list[DueJob]:
        """Take out the jobs of this ticker's share whose claims begin at `now_ms`, though they are due a little later.

        They are those of one instant, and only those whose claims are plain. Like the jobs of `pop_due` they are
        unknown until they are put back.
        """
        due_ms = self._heap[0][0] if self._heap else 0
        jobs = self._due_counts.get(due_ms, 0)
        lead = lead_ms(jobs, len(self.share.tickers))
        if not jobs or not due_ms - lead <= now_ms < due_ms > self._tried_ms:
            return []
        # Once: what is put back of this instant comes up when it is due.
        self._tried_ms, self.put_off_until_ms = due_ms, due_ms + lead
        ready: list[DueJob] = []
        others: list[tuple[int, str]] = []
        while self._heap and self._heap[0][0] == due_ms:
            entry = heapq.heappop(self._heap)
            due_job = self.jobs.get(entry[1])
            if due_job is None or due_job.look_ms != due_ms:
                continue
            if due_job.is_mine and due_job.plain and (due_job.prepared is not None or not due_job.is_prepared):
                ready.append(self.jobs.pop(entry[1]))
            else:
                others.append(entry)
        for entry in others:
            heapq.heappush(self._heap, entry)
        return ready

    def prepare_claims(self, keys: Keys, most: int = PREPARED_PER_PASS) -> None:
        """Build the claims of up to `most` jobs for whose next due mark none has been built."""
        for _ in range(min(most, len(self._unprepared))):
            _, due_job = self._unprepared.popitem(last=False)
            if not due_job.is_prepared:
                due_job.prepare(keys)

    @property
    def has_unprepared(self) -> bool:
        """Return whether there are claims to build while nothing is due."""
        return bool(self._unprepared)

    def next_ms(self) -> int | None:
        """Return the ms at which there is something to look at or to claim ahead next, or None."""
        if not self._heap:
            return None
        first_ms = self._heap[0][0]
        jobs = self._due_counts.get(first_ms) if self.claims_ahead and first_ms > self._tried_ms else None
        return first_ms - lead_ms(jobs, len(self.share.tickers)) if jobs else first_ms

    def put_off_s(self, clock: Clock) -> float:
        """Return for how many seconds what can wait is put off yet; 0 when it is not."""
        left_s = clock.seconds_until(self.put_off_until_ms)
        # When the clock has stepped back it is longer than it can be.
        return left_s if 0 < left_s <= 2 * MAX_LEAD_MS / 1000 else 0.0


def lead_ms(jobs: int, tickers: int) -> int:
    """Return how many ms before an instant a ticker begins to claim `jobs` jobs; so many tickers do the same."""
    return min(MAX_LEAD_MS, MIN_LEAD_MS + int(jobs * tickers * MS_PER_JOB))
