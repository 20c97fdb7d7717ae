"""Fire: decide every instant that is due and claim it, hundreds in one round trip."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from jobistemer.core.errors import JobistemerError
from jobistemer.core.jobs.job import Job, Overlap
from jobistemer.core.planning.plan import Decision
from jobistemer.core.states import OccurrenceState
from jobistemer.runtime.log_limit import log_limited
from jobistemer.runtime.logging import facts
from jobistemer.store.calls import bulk_claim, occurrences
from jobistemer.store.calls.bulk_claim import OccurrenceClaim
from jobistemer.store.database import Database
from jobistemer.store.scripts import Reply, ScriptCall
from jobistemer.ticker.metrics import ShardMetrics
from jobistemer.ticker.upcoming import DueJob, UpcomingJobs

MARKS = 500
"""How many due marks of other tickers' jobs are read with one command."""
BATCH = 100
"""How many claims go with one send: less, and round trips cost; more, and the server waits for the first of them."""
MAX_LAGGING = 500
"""How many jobs that lag behind are worked on in one pass, so that others stay on time meanwhile."""
MAX_LAGGING_SINGLY = 50
"""How many of them are claimed singly: each may have a hundred instants to decide."""
MAX_EXTRA = 5_000
"""How many instants one pass claims beside the first of each job."""
LAG_MS = 1_000
"""The lateness in ms from which on a job lags behind."""
REFUSED = "REFUSED"
"""Stands for the reply to a claim that the server did not execute."""

log = logging.getLogger("jobistemer.ticker")


class _SingleClaim(NamedTuple):
    due_job: DueJob
    decision: Decision
    call: ScriptCall


class FiringPass:
    """One pass of firing, and its result.

    claimed: how many occurrences this ticker has decided. late_ms: the greatest lateness of them. grown: the jobs whose
    history is longer now. replan: an assumption about a job was wrong, so that it has to be read anew at once. refused:
    the server has not executed a claim. replaced: an occurrence may have replaced others, which have to be cancelled.
    timed: an occurrence was started that has a deadline, which the agenda at hand does not show.
    """

    def __init__(self, database: Database, catch_up: int, metrics: ShardMetrics | None = None) -> None:
        self._database = database
        self._catch_up = catch_up
        self._metrics = metrics
        self._began_ms = database.clock.now_ms()
        self._lagging_left, self._extra_left = MAX_LAGGING_SINGLY, MAX_EXTRA
        # Jobs whose next due mark is known, and jobs that have changed meanwhile. A job may be in both: it is outdated.
        self._known: dict[str, DueJob] = {}
        self._outdated: set[str] = set()
        self._untried: list[DueJob] = []
        self.claimed = self.late_ms = 0
        self.replan = self.refused = self.replaced = self.timed = False
        self.grown: dict[str, Job] = {}

    def run(self, upcoming: UpcomingJobs, horizon_ms: int) -> None:
        """Have every known instant that is due by server time decided, by this ticker or by another one.

        When there is none, those are claimed that are due in a moment.

        Every ticker may decide every instant, and the claim settles which one did: there is no leader whose death would
        stop the schedule. To spare the server most of the lost claims, each ticker begins with its share; before it
        goes on to the jobs of the others, it looks whose due marks have moved.
        """
        due = upcoming.pop_due(self._began_ms)
        if upcoming.claims_ahead and not due:
            self._claim_ahead(upcoming, horizon_ms)
            return
        later: list[DueJob] = []
        if due and due[-1].due_ms < self._began_ms - LAG_MS:
            due, later = _split_lagging(due, self._began_ms - LAG_MS)
        self._claim([due_job for due_job in due if due_job.is_mine])
        if others := [due_job for due_job in due if not due_job.is_mine]:
            self._claim(self._find_undecided(others))
        # After an outage there may be more jobs that lag behind than one pass comes to.
        upcoming.untried = {due_job.job_id for due_job in (*later, *self._untried)}
        # An outdated job stays out: as an unknown one it is read anew by the next look. When the connection breaks, all
        # jobs of the pass stay out, since it is not known which of their cursors have moved.
        for due_job in (*later, *self._known.values()):
            if due_job.job_id not in self._outdated:
                upcoming.put(due_job, horizon_ms)

    def _claim_ahead(self, upcoming: UpcomingJobs, horizon_ms: int) -> None:
        """Claim the plain instants of this ticker's share that are due in a moment.

        What is not plain, or is reached only when the instant has come, is put back: it is claimed when it is due.
        """
        rest = iter(upcoming.pop_ahead(self._began_ms))
        left: list[DueJob] = []
        while part := list(islice(rest, BATCH)):
            is_ahead = part[0].due_ms > self._database.clock.now_ms()
            left += self._claim_together(part) if is_ahead else part
        for due_job in (*left, *self._known.values()):
            # A job that is busy now may have ended by then.
            due_job.plain = True
            if due_job.job_id not in self._outdated:
                upcoming.put(due_job, horizon_ms)

    def _claim(self, due_jobs: Iterable[DueJob]) -> None:
        """Claim the due instants of jobs, hundreds in a round trip: plain ones together, the others one by one."""
        rest = iter(due_jobs)
        while part := list(islice(rest, BATCH)):
            while part:
                if singles := self._claim_together(part):
                    self._claim_singly(singles)
                part = [due_job for due_job in part if due_job.due_ms <= self._began_ms and self._is_due_again(due_job)]

    def _is_due_again(self, due_job: DueJob) -> bool:
        """Return whether the next instant of a job is claimed in this pass as well: plain ones go one in a round."""
        if not due_job.plain or due_job.job_id not in self._known:
            return False
        # Without a bound a job that is due each second and far behind would keep this pass from ending, and with it
        # everything else that a ticker does.
        self._extra_left -= 1
        return self._extra_left >= 0

    def _claim_together(self, due_jobs: list[DueJob]) -> list[DueJob]:
        """Claim the plain instants in bundles. Returns the jobs that have to be claimed singly."""
        keys = self._database.keys
        # What is claimed ahead is on record as if it were claimed on the dot: nothing of it happens before.
        now_ms = max(self._database.clock.now_ms(), due_jobs[0].due_ms)
        ready: list[tuple[DueJob, OccurrenceClaim]] = []
        rest: list[DueJob] = []
        for due_job in due_jobs:
            # A job whose last claim was not plain goes the longer way at once: it is probably still paused or busy.
            claim = due_job.build_claim(keys, now_ms) if due_job.plain else None
            if claim is None:
                rest.append(due_job)
            else:
                ready.append((due_job, claim))
        if not ready:
            return rest
        bundles = list(bulk_claim.split_bundles(ready))
        calls = [bulk_claim.claim_occurrences(keys, [claim for _, claim in bundle], now_ms) for bundle in bundles]
        for bundle, reply in zip(bundles, self._database.call_all(calls), strict=True):
            rest += self._record_bundle(bundle, reply)
        return rest

    def _record_bundle(
        self, bundle: list[tuple[DueJob, OccurrenceClaim]], reply: Reply | JobistemerError
    ) -> list[DueJob]:
        """Record what the server answered to a bundle. Returns the jobs that were not plain after all."""
        if not isinstance(reply, Reply):
            text = "%d instants could not be claimed together, so they are claimed singly: %s"
            log_limited(log, logging.ERROR, "claims", text, len(bundle), reply)
            # One of them may be the cause, such as a key of the wrong type, and the others must not wait for it. Should
            # the call have been executed all the same, each single claim is answered by TAKEN.
            return [due_job for due_job, _ in bundle]
        taken, left = (set(positions) for positions in reply.values)
        for position, (due_job, claim) in enumerate(bundle, 1):
            due_job.plain = position not in left
            if due_job.plain:
                word = "TAKEN" if position in taken else "CLAIMED"
                self._record(due_job, claim.decision, word, OccurrenceState.PENDING)
        return [bundle[position - 1][0] for position in sorted(left)]

    def _claim_singly(self, due_jobs: list[DueJob]) -> None:
        claims = self._build_claims(self._limit_lagging(due_jobs))
        while batch := list(islice(claims, BATCH)):
            replies = self._database.call_all([each.call for each in batch])
            for (due_job, decision, _), reply in zip(batch, replies, strict=True):
                if isinstance(reply, Reply):
                    state = reply.values[0].decode() if reply.word == "CLAIMED" else ""
                    due_job.plain = state == OccurrenceState.PENDING
                    self._record(due_job, decision, reply.word, state)
                else:
                    due_job.plain = False
                    _log_refused(due_job, decision, reply)
                    self._record(due_job, decision, REFUSED, "")

    def _find_undecided(self, due_jobs: Sequence[DueJob]) -> Iterator[DueJob]:
        """Yield those of the others' jobs that no ticker has decided yet; record the decisions about the rest."""
        # Lazy, so that the marks of a batch are read right before its claims: the longer ago, the more claims are lost.
        for start in range(0, len(due_jobs), MARKS):
            part = due_jobs[start : start + MARKS]
            marks = occurrences.read_due_marks(self._database, [due_job.job_id for due_job in part])
            for due_job, mark in zip(part, marks, strict=True):
                if mark == due_job.due_ms:
                    yield due_job
                else:
                    self._record_decided_elsewhere(due_job, mark)

    def _build_claims(self, due_jobs: Iterable[DueJob]) -> Iterator[_SingleClaim]:
        for due_job in due_jobs:
            # A pass over thousands of jobs takes a while, and each records its own lateness.
            now_ms = self._database.clock.now_ms()
            for decision in due_job.decide(now_ms, self._catch_up):
                call = occurrences.claim(self._database.keys, due_job.job, due_job.version, decision, now_ms)
                yield _SingleClaim(due_job, decision, call)

    def _limit_lagging(self, due_jobs: list[DueJob]) -> Iterator[DueJob]:
        for due_job in due_jobs:
            self._lagging_left -= due_job.due_ms < self._began_ms - LAG_MS
            if self._lagging_left >= 0:
                yield due_job
            else:
                # Put back as it is: the next pass goes on with it.
                self._known[due_job.job_id] = due_job
                self._untried.append(due_job)

    def _record(self, due_job: DueJob, decision: Decision, word: str, state: str) -> None:
        job_id, job = due_job.job_id, due_job.job
        if word == "CLAIMED":
            late_ms = max(0, self._database.clock.now_ms() - decision.instant * 1000)
            self.claimed += 1
            self.grown[job_id] = job
            self.replaced |= job.overlap is Overlap.REPLACE
            self.late_ms = max(self.late_ms, late_ms)
            self.timed |= job.occurrence_timeout_s is not None
            if self._metrics is not None:
                self._metrics.count_claim(state, late_ms)
        if word in ("CLAIMED", "TAKEN"):
            # TAKEN is the normal case of a ticker that was slower: the other one has decided what this one would have.
            due_job.advance(decision)
            self._known[job_id] = due_job
        else:
            # STALE or BEHIND: the job has changed, and a look at once finds out how. What the server refuses it may
            # refuse for long: a look at once would ask in an endless loop, so that waits a little.
            self.refused |= word == REFUSED
            self.replan |= word != REFUSED and job_id not in self._outdated
            self._outdated.add(job_id)

    def _record_decided_elsewhere(self, due_job: DueJob, mark: int | None) -> None:
        """Follow the due mark that another ticker has moved; None when the job has been removed."""
        now_ms = self._database.clock.now_ms()
        moved_on = mark is not None and mark > due_job.due_ms
        if moved_on and due_job.since is None and now_ms - due_job.due_ms < due_job.on_time_ms:
            # Not planned again: on time there is one decision, and the other ticker has made it.
            due_job.skip_to(mark or 0)
            self._known[due_job.job_id] = due_job
            return
        # The other ticker has decided what this one would have, or it knew something that this one does not.
        decisions = due_job.decide(now_ms, self._catch_up)
        if not decisions or decisions[-1].look_at_ms != mark:
            self._outdated.add(due_job.job_id)
            self.replan = True
            return
        for decision in decisions:
            due_job.advance(decision)
        self._known[due_job.job_id] = due_job


def _split_lagging(due: list[DueJob], lag_ms: int) -> tuple[list[DueJob], list[DueJob]]:
    """Split due jobs, the latest first, into those that are decided in this pass and those that wait for the next.

    lag_ms: a job lags behind when its due mark is earlier. After an outage every job lags; the earliest of them come
    first, so that each gets its turn.
    """
    lagging = [due_job for due_job in due if due_job.due_ms < lag_ms]
    on_time = [due_job for due_job in due if due_job.due_ms >= lag_ms]
    return [*on_time, *lagging[-MAX_LAGGING:]], lagging[:-MAX_LAGGING]


def _log_refused(due_job: DueJob, decision: Decision, error: JobistemerError) -> None:
    known = facts(job=due_job.job_id)
    text, cause = "job %s: instant %d could not be claimed: %s", f"claim {due_job.job_id}"
    log_limited(log, logging.ERROR, cause, text, due_job.job.name, decision.instant, error, extra=known)
