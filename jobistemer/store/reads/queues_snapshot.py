"""A look at queues and at what runs, often repeated: it costs the same whatever is on record, and whatever waits.

For each stream its length and what its group says of itself; for each one that is not empty its first entry that waits
and a few that are in flight. Nothing is scanned, and no list is read to its end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from jobistemer.core.runs.message import decode_message
from jobistemer.store.database import Database
from jobistemer.store.keys import GROUP, split_place

NO_ENTRY = b"0-0"
MAX_STREAMS = 1_000
"""So many streams of a shard are looked at, the first in the order of their names: some ninety queues."""


class QueueSnapshot(msgspec.Struct, frozen=True):
    """One queue: what waits, since when the oldest of it does (Unix ms), what is in flight.

    taken: how many entries workers have taken so far; None where the server does not count them (before Redis 7).
    """

    name: str
    waiting: int
    in_flight: int
    oldest_at: int | None
    taken: int | None
    paused: bool
    draining: bool


class InFlightRun(msgspec.Struct, frozen=True):
    """A run that a worker has: what, who, and for how many ms."""

    run: str
    task: str
    queue: str
    worker: str
    for_ms: int


class _StreamState(msgspec.Struct, frozen=True):
    """One stream of one shard, as far as one look goes."""

    place: str
    waiting: int
    in_flight: int
    last: bytes
    taken: int | None
    oldest_at: int | None = None


def snapshot_queues(
    shards: Sequence[Database], most_in_flight: int
) -> tuple[list[QueueSnapshot], list[InFlightRun], int]:
    """The queues by name, the runs that have been with a worker for longest, and how many streams were left out."""
    streams: list[_StreamState] = []
    going: list[InFlightRun] = []
    paused, closed, unseen = set[str](), set[str](), 0
    for database in shards:
        keys = database.keys
        places, resting, shut = database.ask_all(
            [("SMEMBERS", key) for key in (keys.streams, keys.paused, keys.closed)]
        )
        found = _add_oldest(database, _read_streams(database, sorted(place.decode() for place in places)[:MAX_STREAMS]))
        unseen += max(0, len(places) - MAX_STREAMS)
        streams += found
        going += _read_in_flight(database, found, most_in_flight)
        paused |= {queue.decode() for queue in resting}
        closed |= {split_place(place.decode())[0] for place in shut}
    names = {split_place(each.place)[0] for each in streams} | paused | closed
    queues = [_build_queue(name, streams, paused=name in paused, draining=name in closed) for name in sorted(names)]
    return queues, sorted(going, key=lambda each: -each.for_ms)[:most_in_flight], unseen


def _read_streams(database: Database, places: list[str]) -> list[_StreamState]:
    keys = [database.keys.stream(place) for place in places]
    answers = database.ask_all([command for key in keys for command in (("XLEN", key), ("XINFO GROUPS", key))])
    told = zip(places, answers[::2], answers[1::2], strict=True)
    return [_build_stream(place, length, groups) for place, length, groups in told]


def _build_stream(place: str, length: int, groups: list[dict[str, Any]]) -> _StreamState:
    group = next((each for each in groups if each["name"] == GROUP.encode()), {})
    pending, last = group.get("pending", 0), group.get("last-delivered-id", NO_ENTRY)
    taken = group.get("entries-read")
    if taken is None and "entries-read" in group and last == NO_ENTRY:
        taken = 0
    # An entry is deleted when its attempt ends, so what is in a stream waits or is in flight.
    return _StreamState(place, max(0, length - pending), pending, last, taken)


def _add_oldest(database: Database, streams: list[_StreamState]) -> list[_StreamState]:
    """The same, with when the first entry that waits was made."""
    busy = [each for each in streams if each.waiting]
    commands = [("XRANGE", database.keys.stream(each.place), b"(" + each.last, "+", "COUNT", 1) for each in busy]
    firsts = {
        each.place: int(entries[0][0].partition(b"-")[0])
        for each, entries in zip(busy, database.ask_all(commands), strict=True)
        if entries
    }
    return [msgspec.structs.replace(each, oldest_at=firsts.get(each.place)) for each in streams]


def _read_in_flight(database: Database, streams: list[_StreamState], most: int) -> Iterator[InFlightRun]:
    busy = [each.place for each in streams if each.in_flight]
    pending = database.ask_all([("XPENDING", database.keys.stream(place), GROUP, "-", "+", most) for place in busy])
    held = [(place, *entry) for place, entries in zip(busy, pending, strict=True) for entry in entries]
    oldest = sorted(held, key=lambda each: -each[3])[:most]
    entries = database.ask_all([("XRANGE", database.keys.stream(place), entry, entry) for place, entry, *_ in oldest])
    for (place, _, worker, idle_ms, _), found in zip(oldest, entries, strict=True):
        # It may have ended between the questions.
        if found and (named := _read_names(found[0][1])):
            yield InFlightRun(named[0], named[1], split_place(place)[0], worker.decode(), idle_ms)


def _read_names(fields: dict[bytes, bytes]) -> tuple[str, str] | None:
    try:
        message = decode_message(fields[b"m"])
    except (KeyError, ValueError, RecursionError):
        return None
    return message.run, message.handler


def _build_queue(name: str, streams: list[_StreamState], *, paused: bool, draining: bool) -> QueueSnapshot:
    own = [each for each in streams if split_place(each.place)[0] == name]
    counted = [each.taken for each in own if each.taken is not None]
    return QueueSnapshot(
        name=name,
        waiting=sum(each.waiting for each in own),
        in_flight=sum(each.in_flight for each in own),
        oldest_at=min((each.oldest_at for each in own if each.oldest_at is not None), default=None),
        taken=sum(counted) if len(counted) == len(own) else None,
        paused=paused,
        draining=draining,
    )
