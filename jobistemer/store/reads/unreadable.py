"""Find what stands in a shard and cannot be read, for `doctor`; nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from jobistemer.core.unreadable import Unreadable
from jobistemer.store.database import Database
from jobistemer.store.keys import TYPES, read_delayed_member, read_place
from jobistemer.store.quarantine import find_wrong_types
from jobistemer.store.reading import read_members, read_scored
from jobistemer.store.reads.jobs import list_jobs

MAX_MEMBERS = 1_000
"""How many members of each set are looked at."""
_SCORED: dict[str, Callable[[bytes], str]] = {
    "due": bytes.decode,
    "delayed": read_delayed_member,
    "deadlines": bytes.decode,
    "expected": bytes.decode,
    "chores": bytes.decode,
    "holds": bytes.decode,
    "cancels": bytes.decode,
    "workers": bytes.decode,
    "tickers": bytes.decode,
    "dead": bytes.decode,
}
_SETS: dict[str, Callable[[bytes], str]] = {
    "streams": read_place,
    "starts": bytes.decode,
    "paused": bytes.decode,
    "closed": read_place,
}


def find_unreadable(database: Database) -> Iterator[Unreadable]:
    """Yield keys of the wrong type, members that cannot be read, and jobs whose definition cannot be read."""
    keys = database.keys
    single = [f"{keys.tag}:{kind}" for kind in TYPES if kind in _SCORED or kind in _SETS or kind == "quarantine"]
    yield from find_wrong_types(database, single)
    bad: list[Unreadable] = []
    for kind, text in _SCORED.items():
        key = f"{keys.tag}:{kind}"
        read_scored(key, database.read("ZRANGE", key, 0, MAX_MEMBERS - 1, "WITHSCORES"), bad, text)
    for kind, text in _SETS.items():
        key = f"{keys.tag}:{kind}"
        read_members(key, sorted(database.read("SMEMBERS", key))[:MAX_MEMBERS], bad, text)
    limits = read_members(keys.limits, database.read("HKEYS", keys.limits), bad)[:MAX_MEMBERS]
    waiting = [keys.waiting(name) for name in limits]
    for key, members in zip(
        waiting, database.read_all([("ZRANGE", key, 0, MAX_MEMBERS - 1) for key in waiting]), strict=True
    ):
        read_members(key, members, bad, read_delayed_member)
    yield from bad
    for job in list_jobs([database], 0, MAX_MEMBERS):
        if job.unreadable:
            yield Unreadable(keys.job(job.id), f"job {job.name}: {job.unreadable}")
