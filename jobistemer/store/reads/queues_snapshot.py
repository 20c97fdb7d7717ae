"""Queues, runs in flight and totals at one moment, for a screen that looks every second.

The cost of a look depends on the number of streams alone, never on how many entries wait or records are kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from jobistemer.core.runs.message import decode_message
from jobistemer.core.unreadable import LAST_MS, to_ms, to_text
from jobistemer.store.database import Database
from jobistemer.store.keys import GROUP, split_place
from jobistemer.store.reads.stream_stats import (
    MAX_STREAMS,
    StreamStats,
    read_oldest_waiting,
    read_queue_sets,
    read_stream_stats,
)


class QueueSnapshot(msgspec.Struct, frozen=True):
    """One queue: the entries that wait, since when (Unix ms) the oldest of them waits, and the entries in flight.

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
    """A run that a worker has in flight: its ids, its queue, the worker, and for how many milliseconds."""

    run: str
    task: str
    queue: str
    worker: str
    for_ms: int


class Totals(NamedTuple):
    """Counts over all shards. next_due: when (Unix ms) the next instant of any job is due; None for none."""

    delayed: int
    dead: int
    jobs: int
    next_due: int | None


def snapshot_queues(
    shards: Sequence[Database], most_in_flight: int
) -> tuple[list[QueueSnapshot], list[InFlightRun], int]:
    """Read all queues and the runs that have been in flight for longest.

    Returns the queues by name, at most `most_in_flight` runs, and how many streams were left out.
    """
    streams: list[StreamStats] = []
    oldest: list[tuple[str, int]] = []
    running: list[InFlightRun] = []
    paused, draining, unseen = set[str](), set[str](), 0
    for database in shards:
        sets = read_queue_sets(database)
        found = read_stream_stats(database, sets.places[:MAX_STREAMS])
        unseen += len(sets.places) - len(found)
        streams += found
        oldest += read_oldest_waiting(database, found).items()
        running += _read_in_flight(database, found, most_in_flight)
        paused |= sets.paused
        draining |= sets.draining
    queues = _build_queues(streams, oldest, paused, draining)
    return queues, sorted(running, key=lambda each: -each.for_ms)[:most_in_flight], unseen


def read_totals(shards: Sequence[Database]) -> Totals:
    """Count the delayed runs, the dead letters and the jobs, and find the next due instant."""
    counts: list[Sequence[int]] = []
    dues: list[int] = []
    for database in shards:
        keys = database.keys
        sizes = [("ZCARD", key) for key in (keys.delayed, keys.dead, keys.due)]
        *counted, first = database.read_all([*sizes, ("ZRANGE", keys.due, 0, 0, "WITHSCORES")])
        counts.append(counted)
        dues += [to_ms(score) for score in first[1::2] if to_ms(score) < LAST_MS]
    delayed, dead, jobs = map(sum, zip(*counts, strict=True))
    return Totals(delayed, dead, jobs, min(dues, default=None))


def _build_queues(
    streams: Sequence[StreamStats], oldest: Sequence[tuple[str, int]], paused: set[str], draining: set[str]
) -> list[QueueSnapshot]:
    by_queue: dict[str, list[StreamStats]] = {name: [] for name in paused | draining}
    for each in streams:
        by_queue.setdefault(each.queue, []).append(each)
    oldest_at: dict[str, int] = {}
    for place, at in oldest:
        queue = split_place(place)[0]
        oldest_at[queue] = min(at, oldest_at.get(queue, at))
    return [
        QueueSnapshot(
            name=name,
            waiting=sum(each.waiting for each in by_queue[name]),
            in_flight=sum(each.in_flight for each in by_queue[name]),
            oldest_at=oldest_at.get(name),
            taken=_sum_taken(by_queue[name]),
            paused=name in paused,
            draining=name in draining,
        )
        for name in sorted(by_queue)
    ]


def _sum_taken(streams: Collection[StreamStats]) -> int | None:
    """Add up the entries taken from several streams; None when one of them is not counted."""
    counted = [each.taken for each in streams if each.taken is not None]
    return sum(counted) if len(counted) == len(streams) else None


def _read_in_flight(database: Database, streams: Sequence[StreamStats], most: int) -> Iterator[InFlightRun]:
    busy = [each.place for each in streams if each.in_flight]
    pending = database.read_all([("XPENDING", database.keys.stream(place), GROUP, "-", "+", most) for place in busy])
    held = [(place, *entry) for place, entries in zip(busy, pending, strict=True) for entry in entries]
    oldest = sorted(held, key=lambda each: -each[3])[:most]
    entries = database.read_all([("XRANGE", database.keys.stream(place), entry, entry) for place, entry, *_ in oldest])
    for (place, _, worker, idle_ms, _), found in zip(oldest, entries, strict=True):
        # The run may have ended between the two questions.
        if found and (names := _read_names(found[0][1])):
            yield InFlightRun(*names, split_place(place)[0], to_text(worker), idle_ms)


def _read_names(fields: Mapping[bytes, bytes]) -> tuple[str, str] | None:
    """Return the run id and the task of an entry; None when it holds no readable message."""
    try:
        message = decode_message(fields[b"m"])
    except (KeyError, ValueError, RecursionError):
        return None
    return message.run, message.handler
