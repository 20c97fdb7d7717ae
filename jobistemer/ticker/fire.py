"""Fire: decide every instant that is due and claim it, hundreds in one round trip."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from jobistemer.core.errors import JobistemerError
from jobistemer.core.jobs.job import Job, Overlap
from jobistemer.core.planning.plan import Decision, plan
from jobistemer.core.states import OccurrenceState
from jobistemer.runtime.logging import facts
from jobistemer.store.calls import bulk_claim, occurrences
from jobistemer.store.calls.bulk_claim import OccurrenceClaim
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys
from jobistemer.store.scripts import Reply, ScriptCall
from jobistemer.ticker.metrics import ShardMetrics
from jobistemer.ticker.upcoming import PreparedClaim, UpcomingJobs

BATCH = 100
"""How many go with one send: less, and round trips cost; more, and the server waits for the first of them."""
MAX_LAGGING = 500
"""How many jobs that lag behind are worked on in one pass, so that others stay on time meanwhile."""
MAX_LAGGING_SINGLY = 50
"""How many of them whose claims are not plain: each may have a hundred instants to decide."""
MAX_EXTRA = 5_000
"""How many instants one pass claims beside the first of each job."""
LAG_MS = 1_000
REFUSED = "REFUSED"
"""Stands for the answer to a claim that the server did not execute."""

log = logging.getLogger("jobistemer.ticker")


class Share(NamedTuple):
    """Which jobs a ticker fires first: those whose id falls to its position among the tickers that live."""

    position: int = 0
    of: int = 1

    def includes(self, due_job: UpcomingJobs.DueJob) -> bool:
        """Whether a job falls to this ticker."""
        return self.of == 1 or due_job.number % self.of == self.position


class FiringResult(NamedTuple):
    """What one pass of firing did.

    replan: something that was thought of a job was not true, so that it is to be read anew at once. refused: the server
    has not executed a claim. replaced: an occurrence may have replaced others, which are to be cancelled. grown: the
    jobs whose history is longer now. timed: something was started that has a deadline, which the agenda does not show.
    """

    claimed: int
    late_ms: int
    replan: bool
    refused: bool
    replaced: bool
    grown: dict[str, Job]
    timed: bool


class _Claim(NamedTuple):
    due_job: UpcomingJobs.DueJob
    decision: Decision
    call: ScriptCall


class _PlainClaim(NamedTuple):
    due_job: UpcomingJobs.DueJob
    decision: Decision
    firing: OccurrenceClaim


def prepare_claims(keys: Keys, upcoming: UpcomingJobs, share: Share) -> None:
    """Make some of the claims to come ready, while nothing is due."""
    for due_job in upcoming.take_unprepared(BATCH):
        if share.includes(due_job) and due_job.prepared is None:
            due_job.prepared = _prepare_on_time(keys, due_job)


def fire_due(
    database: Database,
    upcoming: UpcomingJobs,
    catch_up: int,
    horizon_ms: int,
    share: Share,
    metrics: ShardMetrics | None = None,
) -> FiringResult:
    """Have every known instant that is due by server time decided: by this ticker, or by another one.

    Everybody may decide everything, and the claim settles who did. To spare the server most of the lost claims, each
    ticker begins with its share; before it goes on to what falls to the others, it looks whose due marks have moved.
    """
    now_ms = database.clock.now_ms()
    now, later = _split_lagging(upcoming.pop_due(now_ms), now_ms)
    firing_pass = FiringPass(database, now_ms, catch_up, metrics)
    firing_pass.claim([due_job for due_job in now if share.includes(due_job)])
    firing_pass.claim(firing_pass.find_undecided([due_job for due_job in now if not share.includes(due_job)]))
    for due_job in (*later, *firing_pass.known.values()):
        if due_job.job_id not in firing_pass.outdated:
            upcoming.put_back(due_job, horizon_ms)
    found = (firing_pass.replan, firing_pass.refused, firing_pass.replaced)
    return FiringResult(firing_pass.claimed, firing_pass.late_ms, *found, firing_pass.grown, firing_pass.timed)


def _split_lagging(
    due: list[UpcomingJobs.DueJob], now_ms: int
) -> tuple[list[UpcomingJobs.DueJob], list[UpcomingJobs.DueJob]]:
    """What is decided in this pass, and what lags behind so that it can wait for the next."""
    lagging = [due_job for due_job in due if due_job.due_ms < now_ms - LAG_MS]
    on_time = [due_job for due_job in due if due_job.due_ms >= now_ms - LAG_MS]
    return [*on_time, *lagging[-MAX_LAGGING:]], lagging[:-MAX_LAGGING]


class FiringPass:
    """One pass of firing.

    `known` are the jobs whose next instants are known, `outdated` those that have changed since.
    """

    def __init__(self, database: Database, now_ms: int, catch_up: int, metrics: ShardMetrics | None) -> None:
        self._metrics = metrics
        self._database = database
        self._began_ms = now_ms
        self._clock_began_ms = database.clock.now_ms()
        self._catch_up = catch_up
        self._lagging_left, self._more_left = MAX_LAGGING_SINGLY, MAX_EXTRA
        self.known: dict[str, UpcomingJobs.DueJob] = {}
        self.outdated: set[str] = set()
        self.replan = self.refused = False
        self.claimed = self.late_ms = 0
        self.replaced = False
        self.grown: dict[str, Job] = {}
        self.timed = False

    def claim(self, due_jobs: Iterable[UpcomingJobs.DueJob]) -> None:
        """Claim the due instants of jobs, hundreds in a round trip: the plain ones together, the others one by one."""
        rest = iter(due_jobs)
        while part := list(islice(rest, BATCH)):
            while part:
                self._claim_singly(self._claim_together(part))
                part = [due_job for due_job in part if self._is_due_again(due_job)]

    def _is_due_again(self, due_job: UpcomingJobs.DueJob) -> bool:
        """Whether the next instant of a job is due in this pass as well; plain ones are claimed one in a round."""
        if not due_job.plain or due_job.job_id not in self.known or due_job.due_ms > self._began_ms:
            return False
        self._more_left -= 1
        return self._more_left >= 0

    def _claim_together(self, due_jobs: list[UpcomingJobs.DueJob]) -> list[UpcomingJobs.DueJob]:
        """Claim what is plain; give what is not."""
        keys, now_ms = self._database.keys, self._now_ms()
        ready, rest = _split_plain(keys, due_jobs, now_ms)
        bundles = [[ready[at] for at in bundle] for bundle in bulk_claim.split_bundles(each.firing for each in ready)]
        calls = [bulk_claim.claim_occurrences(keys, [each.firing for each in bundle], now_ms) for bundle in bundles]
        for bundle, reply in zip(bundles, self._database.call_all(calls) if calls else (), strict=True):
            rest += self._record_together(bundle, reply)
        return rest

    def _record_together(self, bundle: list[_PlainClaim], reply: Reply | JobistemerError) -> list[UpcomingJobs.DueJob]:
        if not isinstance(reply, Reply):
            log.error("%d instants could not be claimed together, so they are claimed singly: %s", len(bundle), reply)
            # One of them may be the cause, and the others are not to wait for it.
            return [each.due_job for each in bundle]
        taken, left = (set(positions) for positions in reply.values)
        for position, (due_job, decision, _) in enumerate(bundle, 1):
            due_job.plain = position not in left
            if due_job.plain:
                self._record(due_job, decision, "TAKEN" if position in taken else "CLAIMED")
                if position not in taken:
                    self._count_claim(decision, OccurrenceState.PENDING)
        return [bundle[position - 1].due_job for position in sorted(left)]

    def _claim_singly(self, due_jobs: list[UpcomingJobs.DueJob]) -> None:
        claims = self._build_claims(self._limit_lagging(due_jobs))
        while batch := list(islice(claims, BATCH)):
            replies = self._database.call_all([each.call for each in batch])
            for (due_job, decision, _), reply in zip(batch, replies, strict=True):
                word = reply.word if isinstance(reply, Reply) else _log_refused(due_job, decision, reply)
                due_job.plain = isinstance(reply, Reply) and b"pending" in reply.values
                self._record(due_job, decision, word)
                if isinstance(reply, Reply) and word == "CLAIMED":
                    self._count_claim(decision, reply.values[0].decode())

    def find_undecided(self, due_jobs: list[UpcomingJobs.DueJob]) -> Iterator[UpcomingJobs.DueJob]:
        """Those of the others' jobs that nobody has decided yet; of the rest, note what was decided."""
        for start in range(0, len(due_jobs), BATCH):
            part = due_jobs[start : start + BATCH]
            marks = self._database.ask("ZMSCORE", self._database.keys.due, *(due_job.job_id for due_job in part))
            for due_job, mark in zip(part, marks, strict=True):
                if mark is not None and int(mark) == due_job.due_ms:
                    yield due_job
                else:
                    self._record_decided_elsewhere(due_job, mark)

    def _now_ms(self) -> int:
        return self._began_ms + self._database.clock.now_ms() - self._clock_began_ms

    def _build_claims(self, due_jobs: Iterable[UpcomingJobs.DueJob]) -> Iterator[_Claim]:
        for due_job in due_jobs:
            # A pass over thousands of jobs takes a while, and each says how late it was itself.
            now_ms = self._now_ms()
            for decision in _plan_job(due_job, now_ms, self._catch_up):
                call = occurrences.claim(self._database.keys, due_job.job, due_job.version, decision, now_ms)
                yield _Claim(due_job, decision, call)

    def _limit_lagging(self, due_jobs: list[UpcomingJobs.DueJob]) -> Iterator[UpcomingJobs.DueJob]:
        for due_job in due_jobs:
            self._lagging_left -= due_job.due_ms < self._began_ms - LAG_MS
            if self._lagging_left >= 0:
                yield due_job
            else:
                self.known[due_job.job_id] = due_job

    def _record(self, due_job: UpcomingJobs.DueJob, decision: Decision, word: str) -> None:
        if word == "CLAIMED":
            self.claimed += 1
            self.grown[due_job.job_id] = due_job.job
            self.replaced |= due_job.job.overlap is Overlap.REPLACE
            self.late_ms = max(self.late_ms, self._now_ms() - decision.instant * 1000)
            self.timed |= due_job.job.occurrence_timeout_s is not None
        if word in ("CLAIMED", "TAKEN"):
            due_job.advance(decision)
            self.known[due_job.job_id] = due_job
        else:
            # What the server refuses it may refuse for long: that waits a little, with what is behind it.
            self.refused |= word == REFUSED
            self.replan |= word != REFUSED and due_job.job_id not in self.outdated
            self.outdated.add(due_job.job_id)

    def _count_claim(self, decision: Decision, state: str) -> None:
        if self._metrics is not None:
            self._metrics.count_claim(state, self._now_ms() - decision.instant * 1000)

    def _record_decided_elsewhere(self, due_job: UpcomingJobs.DueJob, mark: float | None) -> None:
        if (
            mark is not None
            and int(mark) > due_job.due_ms
            and due_job.since is None
            and due_job.is_on_time(self._now_ms())
        ):
            due_job.skip_to(int(mark))
            self.known[due_job.job_id] = due_job
            return
        # The other ticker has decided what this one would have, or it knew something that this one does not.
        decisions = _plan_job(due_job, self._now_ms(), self._catch_up)
        if mark is None or not decisions or decisions[-1].look_at_ms != int(mark):
            self.outdated.add(due_job.job_id)
            self.replan = True
            return
        for decision in decisions:
            due_job.advance(decision)
        self.known[due_job.job_id] = due_job


def _plan_job(due_job: UpcomingJobs.DueJob, now_ms: int, catch_up: int) -> list[Decision]:
    try:
        return plan(due_job.job, due_job.cursor, now_ms, catch_up, due_job.since)
    except Exception as error:  # noqa: BLE001 - a custom schedule is user code
        # One job that cannot be planned (a custom schedule that this ticker does not know) holds up no other.
        log.error("job %s cannot be planned here: %s", due_job.job.name, error, extra=facts(job=due_job.job_id))
        return []


def _split_plain(
    keys: Keys, due_jobs: Iterable[UpcomingJobs.DueJob], now_ms: int
) -> tuple[list[_PlainClaim], list[UpcomingJobs.DueJob]]:
    """Those whose claim is a plain one, as far as can be seen from here, and the others."""
    ready: list[_PlainClaim] = []
    rest: list[UpcomingJobs.DueJob] = []
    for due_job in due_jobs:
        prepared = _prepare_first(keys, due_job, now_ms) if due_job.plain else None
        if prepared is not None and prepared.firing is not None:
            ready.append(_PlainClaim(due_job, prepared.decision, prepared.firing))
        else:
            rest.append(due_job)
    return ready, rest


def _prepare_first(keys: Keys, due_job: UpcomingJobs.DueJob, now_ms: int) -> PreparedClaim | None:
    if due_job.is_on_time(now_ms):
        return due_job.prepared or _prepare_on_time(keys, due_job)
    if now_ms - due_job.due_ms > due_job.job.grace_s * 1000:
        return None
    # Later than that, but nothing was missed: one instant now, and the next one in the next round.
    decisions = _plan_job(due_job, now_ms, 1)
    return _prepare_claim(keys, due_job, decisions[0]) if decisions else None


def _prepare_on_time(keys: Keys, due_job: UpcomingJobs.DueJob) -> PreparedClaim | None:
    decisions = _plan_job(due_job, due_job.due_ms, 2)
    # A due mark that is no instant ends a pause in catching up; what is due then shows when it is over.
    alone = len(decisions) == 1 and decisions[0].instant * 1000 == due_job.due_ms
    return _prepare_claim(keys, due_job, decisions[0]) if alone else None


def _prepare_claim(keys: Keys, due_job: UpcomingJobs.DueJob, decision: Decision) -> PreparedClaim:
    return PreparedClaim(decision, bulk_claim.prepare_claim(keys, due_job.job, due_job.version, decision))


def _log_refused(due_job: UpcomingJobs.DueJob, decision: Decision, error: JobistemerError) -> str:
    known = facts(job=due_job.job_id)
    log.error("job %s: instant %d could not be claimed: %s", due_job.job.name, decision.instant, error, extra=known)
    return REFUSED
