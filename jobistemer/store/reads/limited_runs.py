"""The runs that wait for a limit: they are on no stream, and no worker holds them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from jobistemer.core.unreadable import to_text
from jobistemer.store.database import Database
from jobistemer.store.keys import read_delayed_member, split_delayed_member, split_place
from jobistemer.store.reading import read_members, read_number
from jobistemer.store.reads.records import find_runs


class LimitedRun(msgspec.Struct, frozen=True):
    """A run that waits for a limit. used, most: how many permits of the limit are in use, and how many there are."""

    id: str
    handler: str
    place: str
    enqueued_at: int
    attempt: int
    limit: str
    used: int
    most: int


def list_limited_runs(shards: Sequence[Database], queue: str = "", limit: int = 50) -> list[LimitedRun]:
    """Return runs that wait for a limit, of one queue or of all, those that wait longest first."""
    found = [run for database in shards for run in _list_of_shard(database, queue, limit)]
    return sorted(found, key=lambda run: run.enqueued_at)[:limit]


def read_limit_use(shards: Sequence[Database]) -> dict[str, tuple[int, int]]:
    """Return for each limit how many of its permits are in use and how many there are."""
    found: dict[str, tuple[int, int]] = {}
    for database in shards:
        limits = {to_text(name): read_number(most) for name, most in _read_limits(database).items()}
        held = database.read_all([("HLEN", database.keys.held(name)) for name in limits])
        for (name, most), used in zip(limits.items(), held, strict=True):
            found[name] = (used + found.get(name, (0, 0))[0], most)
    return found


def _read_limits(database: Database) -> dict[bytes, bytes]:
    limits: dict[bytes, bytes] = database.read("HGETALL", database.keys.limits)
    return limits


def _list_of_shard(database: Database, queue: str, limit: int) -> Iterator[LimitedRun]:
    keys = database.keys
    limits = {to_text(name): read_number(most) for name, most in _read_limits(database).items()}
    commands = [
        command
        for name in limits
        for command in (("ZRANGE", keys.waiting(name), 0, limit - 1), ("HLEN", keys.held(name)))
    ]
    answers = database.read_all(commands) if commands else []
    for name, members, used in zip(limits, answers[::2], answers[1::2], strict=True):
        waiting = map(split_delayed_member, read_members(keys.waiting(name), members, [], read_delayed_member))
        chosen = {run: place for place, run in waiting if queue in {"", split_place(place)[0]}}
        for record in find_runs(database, list(chosen)):
            yield LimitedRun(
                record.id,
                record.handler,
                chosen[record.id],
                record.enqueued_at,
                record.attempt,
                name,
                used,
                limits[name],
            )
