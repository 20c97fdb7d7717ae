"""Purge a queue: end the runs that wait in it, a hundred at a time; attempts in flight come to their own end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jobistemer.core.runs.message import Delivery, read_message
from jobistemer.core.runs.settle import CANCELED, Outcome
from jobistemer.core.states import AttemptState
from jobistemer.store.actions import cancel
from jobistemer.store.calls import jobs, streams
from jobistemer.store.calls.ended_attempt import EndedAttempt
from jobistemer.store.database import Database
from jobistemer.store.keys import places_of, read_delayed_member, split_delayed_member, split_place
from jobistemer.store.reading import read_members, read_number

PAGE = 100


def purge_queue(shards: Sequence[Database], queue: str, reason: str) -> int:
    """End all runs that wait in a queue as canceled, each with the reason. Returns how many there were.

    Runs that are enqueued meanwhile may be among them or stay; runs that are fetched meanwhile are left to their
    workers. Raises NotConnected or ServerRefused.
    """
    return sum(_purge_shard(database, queue, f"purged: {reason}") for database in shards)


def _purge_shard(database: Database, queue: str, reason: str) -> int:
    purged = 0
    for place in places_of(queue):
        purged += sum(_end_canceled(database, page, "stream", "", reason) for page in _list_on_stream(database, place))
    names = read_members(database.keys.limits, database.read("HKEYS", database.keys.limits), [])
    for limit in names:
        found = _list_in_set(database, database.keys.waiting(limit), queue)
        purged += sum(_end_canceled(database, page, "delayed", limit, reason) for page in found)
    found = _list_in_set(database, database.keys.delayed, queue)
    return purged + sum(_end_canceled(database, page, "delayed", "", reason) for page in found)


def _list_on_stream(database: Database, place: str) -> Iterator[list[Delivery]]:
    """Yield the runs on a stream, in pages. The script refuses to end those of them that are in flight."""
    stream = database.keys.stream(place)
    last = database.ask("XREVRANGE", stream, "+", "-", "COUNT", 1)
    start = b"-"
    while last and (entries := database.ask("XRANGE", stream, start, last[0][0], "COUNT", PAGE)):
        yield [each for each, _ in streams.read_deliveries(stream.encode(), entries) if each is not None]
        start = b"(" + entries[-1][0]


def _list_in_set(database: Database, key: str, queue: str) -> Iterator[list[Delivery]]:
    """Yield the runs of a queue in the delayed set or in a waiting list, in pages."""
    # A member that names no run stays: tickers put it aside.
    members = read_members(key, database.read("ZRANGE", key, 0, -1), [], read_delayed_member)
    mine = [each for each in map(split_delayed_member, members) if split_place(each[0])[0] == queue]
    for start in range(0, len(mine), PAGE):
        part = mine[start : start + PAGE]
        commands = [("HMGET", database.keys.run(run), "message", "attempt", "crashes") for _, run in part]
        found = zip(part, database.read_all(commands), strict=True)
        yield [_read_kept(database, place, run, kept) for (place, run), kept in found if kept[0]]


def _read_kept(database: Database, place: str, run: str, kept: list[bytes]) -> Delivery:
    message = read_message(kept[0], run)
    return Delivery(database.keys.stream(place).encode(), b"", message, read_number(kept[1]), read_number(kept[2]))


def _end_canceled(database: Database, page: list[Delivery], source: str, limit: str, reason: str) -> int:
    now_ms = database.clock.now_ms()
    outcome = Outcome(AttemptState.CANCELED, error=reason)
    ended = [EndedAttempt(each, outcome, CANCELED, "", 0, now_ms, source, limit=limit) for each in page]
    words = cancel.end_as_canceled(database, ended)
    done = [delivery for delivery, word in zip(page, words, strict=True) if word == "DONE"]
    for delivery in done:
        slot = delivery.message.task_ref
        job = jobs.find_version(database, slot.job, slot.version) if slot else None
        if slot and job:
            cancel.cancel_siblings(database, job, slot)
    return len(done)
