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
MOST_MISSED = 2_000
"""How many instants of jobs that lag behind are decided in one pass, so that others stay on time meanwhile."""
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
    due = upcoming.pop_due(now_ms)
    claims = _claims(database, due, upcoming, now_ms, catch_up)
    claimed = lost = late_ms = 0
    failed: set[str] = set()
    while batch := list(islice(claims, BATCH)):
        for claim, reply in zip(batch, database.call_all([each.call for each in batch]), strict=True):
            word = reply.word if isinstance(reply, Reply) else _refused(claim, reply)
            claimed += word == "CLAIMED"
            lost += word == "TAKEN"
            if word == "CLAIMED":
                late_ms = max(late_ms, now_ms - claim.decision.instant * 1000)
            if word in ("CLAIMED", "TAKEN"):
                upcoming.advance(claim.entry, claim.decision, horizon_ms)
            else:
                failed.add(claim.entry.job_id)
    for entry in due:
        if entry.job_id in failed:
            upcoming.forget(entry.job_id)
        elif entry.due_ms <= horizon_ms:
            upcoming.put_back(entry)
    return Fired(claimed, lost, late_ms, bool(failed))


def _claims(
    database: Database, due: list[Upcoming.Entry], upcoming: Upcoming, now_ms: int, catch_up: int
) -> Iterator[_Claim]:
    missed = 0
    for entry in due:
        lags = entry.due_ms < now_ms - LAG_MS
        if lags and missed >= MOST_MISSED:
            continue
        decisions = _planned(entry, now_ms, catch_up)
        if not decisions:
            upcoming.forget(entry.job_id)
        missed += len(decisions) if lags else 0
        for decision in decisions:
            call = occurrences.claim(database.keys, entry.job, entry.version, decision, now_ms)
            yield _Claim(entry, decision, call)


def _planned(entry: Upcoming.Entry, now_ms: int, catch_up: int) -> list[Decision]:
    try:
        return plan(entry.job, entry.cursor, now_ms, catch_up, entry.since)
    except JobistemerError as error:
        # One job that cannot be planned (a custom schedule that this ticker does not know) holds up no other.
        log.error("job %s cannot be planned here: %s", entry.job.name, error)
        return []


def _refused(claim: _Claim, error: JobistemerError) -> str:
    log.error("job %s: instant %d could not be claimed: %s", claim.entry.job.name, claim.decision.instant, error)
    return "REFUSED"
