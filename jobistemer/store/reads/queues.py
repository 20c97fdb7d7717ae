"""Queues with their depth, workers and tickers with their last beat, over all shards."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from jobistemer.core.reads.summaries import QueueSummary, TickerSummary, WorkerSummary
from jobistemer.core.unreadable import Unreadable, read_value, to_ms, to_text
from jobistemer.store.database import Database
from jobistemer.store.keys import read_delayed_member, split_delayed_member, split_place
from jobistemer.store.reading import read_members
from jobistemer.store.reads.stream_stats import StreamStats, read_queue_sets, read_stream_stats

ABSENT_AFTER_MS: Final = 60_000
"""After so long (ms) without a beat, a worker or a ticker counts as absent."""
_MAX_COUNTED: Final = 10_000
"""How many delayed runs of a shard, and how many runs that wait for a limit, are counted by queue."""
_Member = TypeVar("_Member", WorkerSummary, TickerSummary)


def list_queues(shards: Sequence[Database]) -> list[QueueSummary]:
    """Return every queue that has ever held an entry, or is paused or draining, by name."""
    streams: defaultdict[str, list[StreamStats]] = defaultdict(list)
    limited: defaultdict[str, Counter[str]] = defaultdict(Counter)
    delayed = Counter[str]()
    # Read to the bound, a count is one of those that there are at least: of every queue, or of the queues of a limit.
    all_delayed, all_limited = True, True
    paused, draining = set[str](), set[str]()
    for database in shards:
        sets = read_queue_sets(database)
        for each in read_stream_stats(database, sets.places):
            streams[each.queue].append(each)
        counted = _count_delayed(database)
        delayed += counted
        all_delayed = all_delayed and counted.total() < _MAX_COUNTED
        all_limited = _add_limited(database, limited) and all_limited
        paused |= sets.paused
        draining |= sets.draining
    return [
        QueueSummary(
            name=name,
            waiting=sum(each.waiting for each in streams[name]),
            in_flight=sum(each.in_flight for each in streams[name]),
            delayed=delayed[name],
            paused=name in paused,
            priorities=_count_by_priority(streams[name]),
            limited=dict(sorted(limited[name].items())),
            draining=name in draining,
            delayed_is_exact=all_delayed,
            limited_is_exact=all_limited,
        )
        for name in sorted({*streams, *delayed, *limited, *paused, *draining})
    ]


def list_workers(shards: Sequence[Database]) -> list[WorkerSummary]:
    """Return every worker that beats, or has stopped beating and is not forgotten yet, by id."""
    found = [_read_members(each, each.keys.workers, each.keys.worker, WorkerSummary) for each in shards]
    # A worker writes the same status to every shard: the latest one counts.
    return [max(statuses, key=lambda status: status.beat_at) for statuses in _group_by_member(found)]


def list_tickers(shards: Sequence[Database]) -> list[TickerSummary]:
    """Return every ticker that has beaten within the last minute, by id."""
    found = [_read_members(each, each.keys.tickers, each.keys.ticker, TickerSummary) for each in shards]
    return [_merge_tickers(statuses) for statuses in _group_by_member(found)]


def find_served_queues(workers: Iterable[WorkerSummary], now_ms: int) -> set[str]:
    """Return the queues that a worker serves which is not absent."""
    return {queue for each in workers if is_present(each, now_ms) for queue in each.queues}


def is_present(process: WorkerSummary | TickerSummary, now_ms: int) -> bool:
    """Tell whether a worker or a ticker has beaten recently enough to count on it."""
    return process.beat_at > now_ms - ABSENT_AFTER_MS


def _count_by_priority(streams: Sequence[StreamStats]) -> dict[int, int]:
    """Count the waiting entries by priority, the highest first; a priority where none waits is left out."""
    waiting: Counter[int] = Counter()
    for each in streams:
        if each.waiting:
            waiting[split_place(each.place)[1]] += each.waiting
    return dict(sorted(waiting.items(), reverse=True))


def _count_delayed(database: Database) -> Counter[str]:
    members = database.read("ZRANGE", database.keys.delayed, 0, _MAX_COUNTED - 1)
    return Counter(map(_queue_of, read_members(database.keys.delayed, members, [], read_delayed_member)))


def _add_limited(database: Database, found: defaultdict[str, Counter[str]]) -> bool:
    """Add to `found`, for each queue, how many runs of this shard wait for which limit; whether all were counted."""
    names = [to_text(name) for name in database.read("HKEYS", database.keys.limits)]
    commands = [("ZRANGE", database.keys.waiting(name), 0, _MAX_COUNTED - 1) for name in names]
    answers = database.read_all(commands)
    for name, members in zip(names, answers, strict=True):
        for member in read_members(database.keys.waiting(name), members, [], read_delayed_member):
            found[_queue_of(member)][name] += 1
    return all(len(members) < _MAX_COUNTED for members in answers)


def _queue_of(member: str) -> str:
    return split_place(split_delayed_member(member)[0])[0]


def _read_members(database: Database, index: str, record: Callable[[str], str], kind: type[_Member]) -> list[_Member]:
    flat = database.read("ZRANGE", index, 0, -1, "WITHSCORES")
    beats = [(to_text(member), float(beat)) for member, beat in zip(flat[::2], flat[1::2], strict=True)]
    if not beats:
        return []
    answers = database.read_all([("HMGET", record(member), "status", "command") for member, _ in beats])
    return [_decode_member(kind, member, beat, *answer) for (member, beat), answer in zip(beats, answers, strict=True)]


def _decode_member(
    kind: type[_Member], member: str, beat: float, status: bytes | None, command: bytes | None
) -> _Member:
    known: dict[str, Any] = {"command": to_text(command or b""), "id": member, "beat_at": to_ms(beat)}
    # A status that cannot be read, such as one of a newer version, leaves what is known without it.
    read = read_value(member, _decode_status, kind, status, known)
    return msgspec.convert(known, kind) if isinstance(read, Unreadable) else read


def _decode_status(kind: type[_Member], status: bytes | None, known: dict[str, Any]) -> _Member:
    fields = msgspec.json.decode(status or b"{}", type=dict[str, Any])
    return msgspec.convert({**fields, **known}, kind)


def _group_by_member(shards: list[list[_Member]]) -> list[list[_Member]]:
    """Group the statuses of all shards by member, in the order of the ids."""
    statuses: dict[str, list[_Member]] = {}
    for status in (each for found in shards for each in found):
        statuses.setdefault(status.id, []).append(status)
    return [statuses[member] for member in sorted(statuses)]


def _merge_tickers(statuses: list[TickerSummary]) -> TickerSummary:
    # A ticker counts shard by shard.
    return msgspec.structs.replace(
        max(statuses, key=lambda status: status.beat_at),
        fired=sum(status.fired for status in statuses),
        prepared=sum(status.prepared for status in statuses),
        late_ms_max=max(status.late_ms_max for status in statuses),
        late_ms_recent=max(status.late_ms_recent for status in statuses),
    )
