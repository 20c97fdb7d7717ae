"""Fire: decide every instant that is due and claim it, hundreds in one round trip."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple
from zlib import crc32

from jobistemer.core.errors import JobistemerError
from jobistemer.core.models import Job, Overlap
from jobistemer.core.planning import Decision, plan
from jobistemer.store import occurrences
from jobistemer.store.database import Database
from jobistemer.store.scripts import Call, Reply
from jobistemer.ticker.upcoming import Upcoming

BATCH = 200
MOST_LAGGING = 50
"""How many jobs that lag behind are worked on in one pass, so that others stay on time meanwhile."""
LAG_MS = 1_000

log = logging.getLogger("jobistemer.ticker")


class Share(NamedTuple):
    """Which jobs a ticker fires first: those whose id falls to its position among the tickers that live."""

    position: int = 0
    of: int = 1

    def has(self, job_id: str) -> bool:
        """Whether a job falls to this ticker."""
        return self.of == 1 or crc32(job_id.encode()) % self.of == self.position


class Fired(NamedTuple):
    """What one pass of firing did.

    replan: something that was thought of a job was not true. replaced: an occurrence may have replaced others, which
    are to be cancelled. grown: the jobs whose history is longer now. timed: something was started that has a
    deadline, which the agenda does not show yet.
    """

    claimed: int
    late_ms: int
    replan: bool
    replaced: bool
    grown: dict[str, Job]
    timed: bool


class _Claim(NamedTuple):
    entry: Upcoming.Entry
    decision: Decision
    call: Call


def fire_due(database: Database, upcoming: Upcoming, catch_up: int, horizon_ms: int, share: Share) -> Fired:
    """Have every known instant that is due by server time decided: by this ticker, or by another one.

    Everybody may decide everything, and the claim settles who did. To spare the server most of the lost claims, each
    ticker begins with its share; before it goes on to what falls to the others, it looks whose due marks have moved.
    """
    now_ms = database.clock.now_ms()
    now, later = _within_reason(upcoming.pop_due(now_ms), now_ms)
    step = _Pass(database, now_ms, catch_up)
    step.claim([entry for entry in now if share.has(entry.job_id)])
    step.claim(step.left_over([entry for entry in now if not share.has(entry.job_id)]))
    for entry in (*later, *step.known.values()):
        if entry.job_id not in step.wrong:
            upcoming.put_back(entry, horizon_ms)
    return Fired(step.claimed, step.late_ms, bool(step.wrong), step.replaced, step.grown, step.timed)


def _within_reason(due: list[Upcoming.Entry], now_ms: int) -> tuple[list[Upcoming.Entry], list[Upcoming.Entry]]:
    """What is decided in this pass, and what lags behind so that it can wait for the next."""
    lagging = [entry for entry in due if entry.due_ms < now_ms - LAG_MS]
    on_time = [entry for entry in due if entry.due_ms >= now_ms - LAG_MS]
    return [*on_time, *lagging[-MOST_LAGGING:]], lagging[:-MOST_LAGGING]


class _Pass:
    """One pass of firing; `known` are the jobs of which it knows what comes next, `wrong` those it was wrong about."""

    def __init__(self, database: Database, now_ms: int, catch_up: int) -> None:
        self._database = database
        self._began_ms = now_ms
        self._clock_began_ms = database.clock.now_ms()
        self._catch_up = catch_up
        self.known: dict[str, Upcoming.Entry] = {}
        self.wrong: set[str] = set()
        self.claimed = self.late_ms = 0
        self.replaced = False
        self.grown: dict[str, Job] = {}
        self.timed = False

    def claim(self, entries: Iterable[Upcoming.Entry]) -> None:
        """Claim the due instants of jobs, hundreds in a round trip."""
        claims = self._claims(entries)
        while batch := list(islice(claims, BATCH)):
            replies = self._database.call_all([each.call for each in batch])
            for claim, reply in zip(batch, replies, strict=True):
                self._note(claim, reply.word if isinstance(reply, Reply) else _refused(claim, reply))

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

    def _note(self, claim: _Claim, word: str) -> None:
        if word == "CLAIMED":
            self.claimed += 1
            self.grown[claim.entry.job_id] = claim.entry.job
            self.replaced |= claim.entry.job.overlap is Overlap.REPLACE
            self.late_ms = max(self.late_ms, self._now_ms() - claim.decision.instant * 1000)
            self.timed |= claim.entry.job.occurrence_timeout_s is not None
        if word in ("CLAIMED", "TAKEN"):
            claim.entry.advance(claim.decision)
            self.known[claim.entry.job_id] = claim.entry
        else:
            self.wrong.add(claim.entry.job_id)

    def _follow(self, entry: Upcoming.Entry, mark: float | None) -> None:
        # The other ticker has decided what this one would have, or it knew something that this one does not.
        decisions = _planned(entry, self._now_ms(), self._catch_up)
        if mark is None or not decisions or decisions[-1].look_at_ms != int(mark):
            self.wrong.add(entry.job_id)
            return
        for decision in decisions:
            entry.advance(decision)
        self.known[entry.job_id] = entry


def _planned(entry: Upcoming.Entry, now_ms: int, catch_up: int) -> list[Decision]:
    try:
        return plan(entry.job, entry.cursor, now_ms, catch_up, entry.since)
    except Exception as error:  # noqa: BLE001 - a custom schedule is user code
        # One job that cannot be planned (a custom schedule that this ticker does not know) holds up no other.
        log.error("job %s cannot be planned here: %s", entry.job.name, error)
        return []


def _refused(claim: _Claim, error: JobistemerError) -> str:
    log.error("job %s: instant %d could not be claimed: %s", claim.entry.job.name, claim.decision.instant, error)
    return "REFUSED"
