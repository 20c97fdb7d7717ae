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
from jobistemer.store.calls.bulk_claim import Firing
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys
from jobistemer.store.scripts import Call, Reply
from jobistemer.ticker.metrics import Tally
from jobistemer.ticker.upcoming import Ahead, Upcoming

BATCH = 100
"""How many go with one send: less, and round trips cost; more, and the server waits for the first of them."""
MOST_LAGGING = 500
"""How many jobs that lag behind are worked on in one pass, so that others stay on time meanwhile."""
MOST_LAGGING_SINGLY = 50
"""How many of them whose claims are not plain: each may have a hundred instants to decide."""
MOST_MORE = 5_000
"""How many instants one pass claims beside the first of each job."""
LAG_MS = 1_000
REFUSED = "REFUSED"
"""Stands for the answer to a claim that the server did not execute."""

log = logging.getLogger("jobistemer.ticker")


class Share(NamedTuple):
    """Which jobs a ticker fires first: those whose id falls to its position among the tickers that live."""

    position: int = 0
    of: int = 1

    def has(self, entry: Upcoming.Entry) -> bool:
        """Whether a job falls to this ticker."""
        return self.of == 1 or entry.number % self.of == self.position


class Fired(NamedTuple):
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
    entry: Upcoming.Entry
    decision: Decision
    call: Call


class _Ready(NamedTuple):
    entry: Upcoming.Entry
    decision: Decision
    firing: Firing


def make_ready(keys: Keys, upcoming: Upcoming, share: Share) -> None:
    """Make some of the claims to come ready, while nothing is due."""
    for entry in upcoming.take_unready(BATCH):
        if share.has(entry) and entry.ahead is None:
            entry.ahead = _ahead(keys, entry)


def fire_due(
    database: Database, upcoming: Upcoming, catch_up: int, horizon_ms: int, share: Share, tally: Tally | None = None
) -> Fired:
    """Have every known instant that is due by server time decided: by this ticker, or by another one.

    Everybody may decide everything, and the claim settles who did. To spare the server most of the lost claims, each
    ticker begins with its share; before it goes on to what falls to the others, it looks whose due marks have moved.
    """
    now_ms = database.clock.now_ms()
    now, later = _within_reason(upcoming.pop_due(now_ms), now_ms)
    step = _Pass(database, now_ms, catch_up, tally)
    step.claim([entry for entry in now if share.has(entry)])
    step.claim(step.left_over([entry for entry in now if not share.has(entry)]))
    for entry in (*later, *step.known.values()):
        if entry.job_id not in step.wrong:
            upcoming.put_back(entry, horizon_ms)
    found = (step.replan, step.refused, step.replaced)
    return Fired(step.claimed, step.late_ms, *found, step.grown, step.timed)


def _within_reason(due: list[Upcoming.Entry], now_ms: int) -> tuple[list[Upcoming.Entry], list[Upcoming.Entry]]:
    """What is decided in this pass, and what lags behind so that it can wait for the next."""
    lagging = [entry for entry in due if entry.due_ms < now_ms - LAG_MS]
    on_time = [entry for entry in due if entry.due_ms >= now_ms - LAG_MS]
    return [*on_time, *lagging[-MOST_LAGGING:]], lagging[:-MOST_LAGGING]


class _Pass:
    """One pass of firing; `known` are the jobs of which it knows what comes next, `wrong` those it was wrong about."""

    def __init__(self, database: Database, now_ms: int, catch_up: int, tally: Tally | None) -> None:
        self._tally = tally
        self._database = database
        self._began_ms = now_ms
        self._clock_began_ms = database.clock.now_ms()
        self._catch_up = catch_up
        self._lagging_left, self._more_left = MOST_LAGGING_SINGLY, MOST_MORE
        self.known: dict[str, Upcoming.Entry] = {}
        self.wrong: set[str] = set()
        self.replan = self.refused = False
        self.claimed = self.late_ms = 0
        self.replaced = False
        self.grown: dict[str, Job] = {}
        self.timed = False

    def claim(self, entries: Iterable[Upcoming.Entry]) -> None:
        """Claim the due instants of jobs, hundreds in a round trip: the plain ones together, the others one by one."""
        rest = iter(entries)
        while part := list(islice(rest, BATCH)):
            while part:
                self._claim_singly(self._claim_together(part))
                part = [entry for entry in part if self._goes_on(entry)]

    def _goes_on(self, entry: Upcoming.Entry) -> bool:
        """Whether the next instant of a job is due in this pass as well; plain ones are claimed one in a round."""
        if not entry.plain or entry.job_id not in self.known or entry.due_ms > self._began_ms:
            return False
        self._more_left -= 1
        return self._more_left >= 0

    def _claim_together(self, entries: list[Upcoming.Entry]) -> list[Upcoming.Entry]:
        """Claim what is plain; give what is not."""
        keys, now_ms = self._database.keys, self._now_ms()
        ready, rest = _split(keys, entries, now_ms)
        bundles = [[ready[at] for at in bundle] for bundle in bulk_claim.bundles(each.firing for each in ready)]
        calls = [bulk_claim.claim_firings(keys, [each.firing for each in bundle], now_ms) for bundle in bundles]
        for bundle, reply in zip(bundles, self._database.call_all(calls) if calls else (), strict=True):
            rest += self._note_together(bundle, reply)
        return rest

    def _note_together(self, bundle: list[_Ready], reply: Reply | JobistemerError) -> list[Upcoming.Entry]:
        if not isinstance(reply, Reply):
            log.error("%d instants could not be claimed together, so they are claimed singly: %s", len(bundle), reply)
            # One of them may be the cause, and the others are not to wait for it.
            return [each.entry for each in bundle]
        taken, left = (set(positions) for positions in reply.values)
        for position, (entry, decision, _) in enumerate(bundle, 1):
            entry.plain = position not in left
            if entry.plain:
                self._note(entry, decision, "TAKEN" if position in taken else "CLAIMED")
                if position not in taken:
                    self._count(decision, OccurrenceState.PENDING)
        return [bundle[position - 1].entry for position in sorted(left)]

    def _claim_singly(self, entries: list[Upcoming.Entry]) -> None:
        claims = self._claims(self._affordable(entries))
        while batch := list(islice(claims, BATCH)):
            replies = self._database.call_all([each.call for each in batch])
            for (entry, decision, _), reply in zip(batch, replies, strict=True):
                word = reply.word if isinstance(reply, Reply) else _refused(entry, decision, reply)
                entry.plain = isinstance(reply, Reply) and b"pending" in reply.values
                self._note(entry, decision, word)
                if isinstance(reply, Reply) and word == "CLAIMED":
                    self._count(decision, reply.values[0].decode())

    def left_over(self, entries: list[Upcoming.Entry]) -> Iterator[Upcoming.Entry]:
        """Those of the others' jobs that nobody has decided yet; of the rest, note what was decided."""
        for start in range(0, len(entries), BATCH):
            part = entries[start : start + BATCH]
            marks = self._database.ask("ZMSCORE", self._database.keys.due, *(entry.job_id for entry in part))
            for entry, mark in zip(part, marks, strict=True):
                if mark is not None and int(mark) == entry.due_ms:
                    yield entry
                else:
                    self._follow(entry, mark)

    def _now_ms(self) -> int:
        return self._began_ms + self._database.clock.now_ms() - self._clock_began_ms

    def _claims(self, entries: Iterable[Upcoming.Entry]) -> Iterator[_Claim]:
        for entry in entries:
            # A pass over thousands of jobs takes a while, and each says how late it was itself.
            now_ms = self._now_ms()
            for decision in _planned(entry, now_ms, self._catch_up):
                call = occurrences.claim(self._database.keys, entry.job, entry.version, decision, now_ms)
                yield _Claim(entry, decision, call)

    def _affordable(self, entries: list[Upcoming.Entry]) -> Iterator[Upcoming.Entry]:
        for entry in entries:
            self._lagging_left -= entry.due_ms < self._began_ms - LAG_MS
            if self._lagging_left >= 0:
                yield entry
            else:
                self.known[entry.job_id] = entry

    def _note(self, entry: Upcoming.Entry, decision: Decision, word: str) -> None:
        if word == "CLAIMED":
            self.claimed += 1
            self.grown[entry.job_id] = entry.job
            self.replaced |= entry.job.overlap is Overlap.REPLACE
            self.late_ms = max(self.late_ms, self._now_ms() - decision.instant * 1000)
            self.timed |= entry.job.occurrence_timeout_s is not None
        if word in ("CLAIMED", "TAKEN"):
            entry.advance(decision)
            self.known[entry.job_id] = entry
        else:
            # What the server refuses it may refuse for long: that waits a little, with what is behind it.
            self.refused |= word == REFUSED
            self.replan |= word != REFUSED and entry.job_id not in self.wrong
            self.wrong.add(entry.job_id)

    def _count(self, decision: Decision, state: str) -> None:
        if self._tally is not None:
            self._tally.count(state, self._now_ms() - decision.instant * 1000)

    def _follow(self, entry: Upcoming.Entry, mark: float | None) -> None:
        if mark is not None and int(mark) > entry.due_ms and entry.since is None and entry.on_time(self._now_ms()):
            entry.follow(int(mark))
            self.known[entry.job_id] = entry
            return
        # The other ticker has decided what this one would have, or it knew something that this one does not.
        decisions = _planned(entry, self._now_ms(), self._catch_up)
        if mark is None or not decisions or decisions[-1].look_at_ms != int(mark):
            self.wrong.add(entry.job_id)
            self.replan = True
            return
        for decision in decisions:
            entry.advance(decision)
        self.known[entry.job_id] = entry


def _planned(entry: Upcoming.Entry, now_ms: int, catch_up: int) -> list[Decision]:
    try:
        return plan(entry.job, entry.cursor, now_ms, catch_up, entry.since)
    except Exception as error:  # noqa: BLE001 - a custom schedule is user code
        # One job that cannot be planned (a custom schedule that this ticker does not know) holds up no other.
        log.error("job %s cannot be planned here: %s", entry.job.name, error, extra=facts(job=entry.job_id))
        return []


def _split(
    keys: Keys, entries: Iterable[Upcoming.Entry], now_ms: int
) -> tuple[list[_Ready], list[Upcoming.Entry]]:
    """Those whose claim is a plain one, as far as can be seen from here, and the others."""
    ready: list[_Ready] = []
    rest: list[Upcoming.Entry] = []
    for entry in entries:
        ahead = _first_claim(keys, entry, now_ms) if entry.plain else None
        if ahead is not None and ahead.firing is not None:
            ready.append(_Ready(entry, ahead.decision, ahead.firing))
        else:
            rest.append(entry)
    return ready, rest


def _first_claim(keys: Keys, entry: Upcoming.Entry, now_ms: int) -> Ahead | None:
    if entry.on_time(now_ms):
        return entry.ahead or _ahead(keys, entry)
    if now_ms - entry.due_ms > entry.job.grace_s * 1000:
        return None
    # Later than that, but nothing was missed: one instant now, and the next one in the next round.
    decisions = _planned(entry, now_ms, 1)
    return _made_ready(keys, entry, decisions[0]) if decisions else None


def _ahead(keys: Keys, entry: Upcoming.Entry) -> Ahead | None:
    decisions = _planned(entry, entry.due_ms, 2)
    # A due mark that is no instant ends a pause in catching up; what is due then shows when it is over.
    alone = len(decisions) == 1 and decisions[0].instant * 1000 == entry.due_ms
    return _made_ready(keys, entry, decisions[0]) if alone else None


def _made_ready(keys: Keys, entry: Upcoming.Entry, decision: Decision) -> Ahead:
    return Ahead(decision, bulk_claim.prepare(keys, entry.job, entry.version, decision))


def _refused(entry: Upcoming.Entry, decision: Decision, error: JobistemerError) -> str:
    known = facts(job=entry.job_id)
    log.error("job %s: instant %d could not be claimed: %s", entry.job.name, decision.instant, error, extra=known)
    return REFUSED
