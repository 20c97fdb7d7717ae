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

log = logging.getLogger("jobistemer.ticker")


class Fired(NamedTuple):
    """What one pass of firing did."""

    claimed: int
    lost: int
    late_ms: int
    replan: bool
    timed: bool
    """Whether something was started that has a deadline, which the agenda does not show yet."""


class _Claim(NamedTuple):
    entry: Upcoming.Entry
    decision: Decision
    call: Call


def fire_due(database: Database, upcoming: Upcoming, catch_up: int, horizon_ms: int) -> Fired:
    """Claim every known instant that is due by server time; losing a claim to another ticker is silent and cheap."""
    now_ms = database.clock.now_ms()
    claims = _claims(database, upcoming.pop_due(now_ms), now_ms, catch_up)
    claimed = lost = late_ms = 0
    replan = timed = False
    while batch := list(islice(claims, BATCH)):
        for claim, reply in zip(batch, database.call_all([each.call for each in batch]), strict=True):
            word = reply.word if isinstance(reply, Reply) else _refused(claim, reply)
            claimed += word == "CLAIMED"
            lost += word == "TAKEN"
            if word == "CLAIMED":
                late_ms = max(late_ms, now_ms - claim.decision.instant * 1000)
            timed |= word == "CLAIMED" and claim.entry.job.occurrence_timeout_s is not None
            replan |= not _note(upcoming, claim, word, horizon_ms)
    return Fired(claimed, lost, late_ms, replan, timed)


def _claims(
    database: Database, due: list[Upcoming.Entry], now_ms: int, catch_up: int
) -> Iterator[_Claim]:
    for entry in due:
        try:
            decisions = plan(entry.job, entry.cursor, now_ms, catch_up)
        except Exception as error:  # noqa: BLE001 - a custom schedule is user code
            # One job that cannot be planned (a custom schedule that this ticker does not know) holds up no other.
            log.error("job %s cannot be planned here: %s", entry.job.name, error)
            decisions = []
        for decision in decisions:
            call = occurrences.claim(database.keys, entry.job, entry.version, decision, now_ms)
            yield _Claim(entry, decision, call)


def _note(upcoming: Upcoming, claim: _Claim, word: str, horizon_ms: int) -> bool:
    """Take note of a reply; whether what this ticker knew of the job was true."""
    if word in ("CLAIMED", "TAKEN"):
        upcoming.advance(claim.entry, claim.decision, horizon_ms)
        return True
    upcoming.forget(claim.entry.job_id)
    return False


def _refused(claim: _Claim, error: JobistemerError) -> str:
    log.error("job %s: instant %d could not be claimed: %s", claim.entry.job.name, claim.decision.instant, error)
    return "REFUSED"
