"""Read-only views over all shards: queues with their depth, workers and tickers with their last beat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from jobistemer.core.reads.summaries import QueueSummary, TickerSummary, WorkerSummary
from jobistemer.store.database import Database
from jobistemer.store.keys import GROUP, split_delayed_member, split_place

_MAX_COUNTED = 10_000
_Member = TypeVar("_Member", WorkerSummary, TickerSummary)


class _StreamDepth(NamedTuple):
    """What one stream of one shard holds."""

    queue: str
    priority: int
    waiting: int
    in_flight: int


def list_queues(shards: Sequence[Database]) -> list[QueueSummary]:
    """Every queue that has ever held an entry, or is paused, by name."""
    places = [place for database in shards for place in _read_streams(database)]
    delayed = sum((_count_delayed(database) for database in shards), Counter[str]())
    paused = {queue.decode() for database in shards for queue in database.ask("SMEMBERS", database.keys.paused)}
    shut = [place.decode() for database in shards for place in database.ask("SMEMBERS", database.keys.closed)]
    closed = {split_place(place)[0] for place in shut}
    limited = _count_limited(shards)
    names = {place.queue for place in places} | set(delayed) | paused | closed | set(limited)
    return [
        msgspec.structs.replace(
            _build_queue(name, [each for each in places if each.queue == name], delayed, paused),
            limited=dict(sorted(limited.get(name, {}).items())),
            draining=name in closed,
        )
        for name in sorted(names)
    ]


def list_workers(shards: Sequence[Database]) -> list[WorkerSummary]:
    """Every worker that beats, or has stopped beating and is not forgotten yet, by id."""
    told = [_read_members(each, each.keys.workers, each.keys.worker, WorkerSummary) for each in shards]
    # A worker says the same to every shard: the latest word counts.
    return [max(words, key=lambda word: word.beat_at) for words in _group_by_member(told)]


def list_tickers(shards: Sequence[Database]) -> list[TickerSummary]:
    """Every ticker that has beaten within the last minute, by id."""
    told = [_read_members(each, each.keys.tickers, each.keys.ticker, TickerSummary) for each in shards]
    return [_merge_tickers(words) for words in _group_by_member(told)]


def _build_queue(name: str, places: list[_StreamDepth], delayed: Counter[str], paused: set[str]) -> QueueSummary:
    by_priority: Counter[int] = Counter()
    for place in places:
        if place.waiting:
            by_priority[place.priority] += place.waiting
    return QueueSummary(
        name=name,
        waiting=by_priority.total(),
        in_flight=sum(place.in_flight for place in places),
        delayed=delayed[name],
        paused=name in paused,
        priorities=dict(sorted(by_priority.items(), reverse=True)),
    )


def _read_streams(database: Database) -> list[_StreamDepth]:
    places = sorted(each.decode() for each in database.ask("SMEMBERS", database.keys.streams))
    streams = [database.keys.stream(where) for where in places]
    lengths = database.ask_all([("XLEN", stream) for stream in streams]) if streams else []
    pending = database.ask_all([("XPENDING", stream, GROUP) for stream in streams]) if streams else []
    # An entry is deleted when its attempt ends, so what is in a stream waits or is in flight. Between the two
    # questions some may end and others begin.
    return [
        _StreamDepth(*split_place(where), max(0, length - summary[0]), summary[0])
        for where, length, summary in zip(places, lengths, pending, strict=True)
    ]


def _count_delayed(database: Database) -> Counter[str]:
    members = database.ask("ZRANGE", database.keys.delayed, 0, _MAX_COUNTED - 1)
    return Counter(split_place(split_delayed_member(member.decode())[0])[0] for member in members)


def _count_limited(shards: Sequence[Database]) -> dict[str, Counter[str]]:
    """How many runs of each queue wait for which limit, among the first 10,000 of each."""
    found: dict[str, Counter[str]] = {}
    for database in shards:
        names = [name.decode() for name in database.ask("HKEYS", database.keys.limits)]
        commands = [("ZRANGE", database.keys.waiting(name), 0, _MAX_COUNTED - 1) for name in names]
        for name, members in zip(names, database.ask_all(commands) if commands else [], strict=True):
            for member in members:
                queue = split_place(split_delayed_member(member.decode())[0])[0]
                found.setdefault(queue, Counter())[name] += 1
    return found


def _read_members(database: Database, index: str, record: Callable[[str], str], kind: type[_Member]) -> list[_Member]:
    flat = database.ask("ZRANGE", index, 0, -1, "WITHSCORES")
    beats = [(member.decode(), float(beat)) for member, beat in zip(flat[::2], flat[1::2], strict=True)]
    if not beats:
        return []
    answers = database.ask_all([("HMGET", record(member), "status", "command") for member, _ in beats])
    return [_decode_member(kind, member, beat, *answer) for (member, beat), answer in zip(beats, answers, strict=True)]


def _decode_member(
    kind: type[_Member], member: str, beat: float, status: bytes | None, command: bytes | None
) -> _Member:
    fields = msgspec.json.decode(status or b"{}", type=dict[str, Any])
    return msgspec.convert({**fields, "command": (command or b"").decode(), "id": member, "beat_at": round(beat)}, kind)


def _group_by_member(shards: list[list[_Member]]) -> list[list[_Member]]:
    words: dict[str, list[_Member]] = {}
    for word in (each for told in shards for each in told):
        words.setdefault(word.id, []).append(word)
    return [words[member] for member in sorted(words)]


def _merge_tickers(words: list[TickerSummary]) -> TickerSummary:
    # A ticker counts shard by shard.
    return msgspec.structs.replace(
        max(words, key=lambda word: word.beat_at),
        fired=sum(word.fired for word in words),
        prepared=sum(word.prepared for word in words),
        late_ms_max=max(word.late_ms_max for word in words),
    )
