"""Read-only views of one shard that workers and tickers otherwise get with their beats.

For the roles of a test, which run step by step and send no beats.
"""

from __future__ import annotations

from typing import NamedTuple

from jobistemer.core.unreadable import LAST_MS, to_ms, to_text
from jobistemer.store.database import Database


class Pauses(NamedTuple):
    """The queues from which no worker fetches, and the names of the holds that have not ended."""

    queues: set[str]
    holds: frozenset[str]


def read_pauses(database: Database) -> Pauses:
    """Read the paused queues and the holds of a shard."""
    keys = database.keys
    # One round trip instead of two: as a rule there are neither, and a test asks at each of its instants.
    if not database.read("EXISTS", keys.paused, keys.holds):
        return Pauses(set(), frozenset())
    queues, holds = database.read_all(
        [("SMEMBERS", keys.paused), ("ZRANGEBYSCORE", keys.holds, f"({database.clock.now_ms()}", "+inf")]
    )
    return Pauses({to_text(each) for each in queues}, frozenset(to_text(each) for each in holds))


def list_cancel_requests(database: Database) -> list[str]:
    """Return the ids of the runs whose worker was asked to cancel them."""
    return [to_text(run) for run in database.read("ZRANGE", database.keys.cancels, 0, -1)]


def find_next_due_ms(database: Database) -> int | None:
    """Return the Unix milliseconds of the next due instant of any job; None when no job is due again."""
    first = database.read("ZRANGE", database.keys.due, 0, 0, "WITHSCORES")
    due_ms = to_ms(first[1]) if first else LAST_MS
    return due_ms if due_ms < LAST_MS else None
