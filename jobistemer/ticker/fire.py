"""Fire: decide every instant that is due and claim it, hundreds in one round trip."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from jobistemer.core.errors import JobistemerError
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


class Fired(NamedTuple):
    """What one pass of firing did. replan: something that was thought of a job was not true."""

    claimed: int
    lost: int
    late_ms: int
    replan: bool


class _Claim(NamedTuple):
    entry: Upcoming.Entry
    decision: Decision
    call: Call


def fire_due(database: Database, upcoming: Upcoming, catch_up: int, horizon_ms: int) -> Fired:
    """Claim every known instant that is due by server time; losing a claim to another ticker is silent and cheap."""
    now_ms = database.clock.now_ms()
    now, later = _within_reason(upcoming.pop_due(now_ms), now_ms)
    claims = _claims(database, now, now_ms, catch_up)
    claimed = lost = late_ms = 0
    known = {entry.job_id: entry for entry in later}
    wrong: set[str] = set()
    while batch := list(islice(claims, BATCH)):
        for claim, reply in zip(batch, database.call_all([each.call for each in batch]), strict=True):
            word = reply.word if isinstance(reply, Reply) else _refused(claim, reply)
            claimed += word == "CLAIMED"
            lost += word == "TAKEN"
            if word == "CLAIMED":
                late_ms = max(late_ms, now_ms - claim.decision.instant * 1000)
            if word in ("CLAIMED", "TAKEN"):
                claim.entry.advance(claim.decision)
                known[claim.entry.job_id] = claim.entry
            else:
                wrong.add(claim.entry.job_id)
    for job_id, entry in known.items():
        if job_id not in wrong:
            upcoming.put_back(entry, horizon_ms)
    return Fired(claimed, lost, late_ms, bool(wrong))


def _within_reason(due: list[Upcoming.Entry], now_ms: int) -> tuple[list[Upcoming.Entry], list[Upcoming.Entry]]:
    """What is decided in this pass, and what lags behind so that it can wait for the next."""
    lagging = [entry for entry in due if entry.due_ms < now_ms - LAG_MS]
    on_time = [entry for entry in due if entry.due_ms >= now_ms - LAG_MS]
    return [*on_time, *lagging[-MOST_LAGGING:]], lagging[:-MOST_LAGGING]


def _claims(database: Database, due: list[Upcoming.Entry], now_ms: int, catch_up: int) -> Iterator[_Claim]:
    for entry in due:
        for decision in _planned(entry, now_ms, catch_up):
            call = occurrences.claim(database.keys, entry.job, entry.version, decision, now_ms)
            yield _Claim(entry, decision, call)


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
