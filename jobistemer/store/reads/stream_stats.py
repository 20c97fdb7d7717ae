"""The streams of a shard and the depth of each: one reading for queue lists, snapshots and metrics.

A look costs two round trips for each shard, whatever waits: one for the sets that name streams, one for the lengths.
Nothing is scanned, and no stream is read to its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from jobistemer.store.database import Database
from jobistemer.store.keys import GROUP, read_place, split_place
from jobistemer.store.reading import read_members

MAX_STREAMS: Final = 1_000
"""How many streams of a shard a repeated look reads, the first by name: some ninety queues."""
_NO_ENTRY: Final = b"0-0"


class QueueSets(NamedTuple):
    """What a shard keeps of its queues: the places that have a stream, by name, and the queues that are stopped."""

    places: list[str]
    paused: set[str]
    draining: set[str]


class StreamStats(NamedTuple):
    """One stream at one moment: entries that wait, entries in flight, and the last one that was delivered.

    taken: how many entries workers have taken so far; None where the server does not count them (before Redis 7).
    """

    place: str
    waiting: int
    in_flight: int
    last_delivered: bytes
    taken: int | None

    @property
    def queue(self) -> str:
        """Return the queue that the stream belongs to."""
        return split_place(self.place)[0]


def list_places(database: Database) -> list[str]:
    """Return the places (queue and priority) of a shard that have a stream, by name."""
    return _sort_places(database.read("SMEMBERS", database.keys.streams))


def read_queue_sets(database: Database) -> QueueSets:
    """Read which streams a shard has, and which queues are paused or draining."""
    keys = database.keys
    places, paused, closed = database.read_all([("SMEMBERS", key) for key in (keys.streams, keys.paused, keys.closed)])
    return QueueSets(
        places=_sort_places(places),
        paused=set(read_members(keys.paused, paused, [])),
        draining={split_place(place)[0] for place in read_members(keys.closed, closed, [], read_place)},
    )


def read_stream_stats(database: Database, places: Sequence[str]) -> list[StreamStats]:
    """Read the depth of each of these places, in one round trip."""
    keys = [database.keys.stream(place) for place in places]
    answers = database.read_all([command for key in keys for command in (("XLEN", key), ("XINFO GROUPS", key))])
    return [
        _build_stats(place, length, groups)
        for place, length, groups in zip(places, answers[::2], answers[1::2], strict=True)
    ]


def read_oldest_waiting(database: Database, streams: Sequence[StreamStats]) -> dict[str, int]:
    """Return when (Unix ms) the first waiting entry of each place was written; a place where none waits is left out.

    One round trip, and none when nothing waits.
    """
    busy = [each for each in streams if each.waiting]
    # Entries are taken in order and deleted when their attempt ends: all those behind the last delivered one wait.
    commands = [
        ("XRANGE", database.keys.stream(each.place), b"(" + each.last_delivered, "+", "COUNT", 1) for each in busy
    ]
    return {
        each.place: int(entries[0][0].partition(b"-")[0])
        for each, entries in zip(busy, database.read_all(commands), strict=True)
        # A worker may have taken the last one since the lengths were read.
        if entries
    }


def _sort_places(members: Sequence[bytes]) -> list[str]:
    return sorted(read_members("", members, [], read_place))


def _build_stats(place: str, length: int, groups: Sequence[dict[str, Any]]) -> StreamStats:
    group = next((each for each in groups if each["name"] == GROUP.encode()), {})
    in_flight, last = group.get("pending", 0), group.get("last-delivered-id", _NO_ENTRY)
    taken = group.get("entries-read")
    if taken is None and "entries-read" in group and last == _NO_ENTRY:
        # Redis 7 counts, but says nil as long as nothing was taken.
        taken = 0
    # What is in a stream waits or is in flight. Entries may end between the two questions, so the difference may be
    # off by those, and must not become negative.
    return StreamStats(place, max(0, length - in_flight), in_flight, last, taken)
