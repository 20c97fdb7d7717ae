"""Read-only view of what is on streams: the runs that wait for a worker, and those that one has in flight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from jobistemer.core.reads.summaries import StreamRun
from jobistemer.core.runs.message import Delivery
from jobistemer.store.calls.streams import read_deliveries
from jobistemer.store.database import Command, Database
from jobistemer.store.keys import GROUP, split_place

MIN_PER_PLACE = 5
"""How many of each place are looked at, however many places there are."""


def list_entries(shards: Sequence[Database], queue: str = "", after: str = "-", limit: int = 50) -> list[StreamRun]:
    """What is on streams, the oldest first; of one queue, or of all: then the oldest few of each place.

    after: the entry that the page before ended with. Those that were written together stay on one page, so it may
    have a few more than `limit`.
    """
    found = [run for database in shards for run in _list_of_shard(database, queue, after, limit)]
    found.sort(key=lambda run: _sort_key(run.entry))
    last = _sort_key(found[limit - 1].entry) if queue and len(found) > limit else None
    return [run for run in found if last is None or _sort_key(run.entry) <= last]


def _list_of_shard(database: Database, queue: str, after: str, limit: int) -> Iterator[StreamRun]:
    every = sorted(each.decode() for each in database.ask("SMEMBERS", database.keys.streams))
    places = [each for each in every if queue in {"", split_place(each)[0]}]
    count = limit if queue else max(MIN_PER_PLACE, limit // max(1, len(places)))
    start = after if after == "-" else f"({after}"
    found = _ask_all(database, [("XRANGE", database.keys.stream(each), start, "+", "COUNT", count) for each in places])
    pages = {where: page for where, page in zip(places, found, strict=True) if page}
    held = _ask_all(database, [_pending_command(database.keys.stream(where), page) for where, page in pages.items()])
    for (where, page), pending in zip(pages.items(), held, strict=True):
        workers = {each[0]: each[1].decode() for each in pending}
        for delivery, entry in read_deliveries(where.encode(), page):
            if delivery is not None:
                yield _build_run(delivery, where, workers.get(entry, ""))


def _build_run(delivery: Delivery, where: str, worker: str) -> StreamRun:
    message = delivery.message
    return StreamRun(
        id=message.run,
        handler=message.handler,
        place=where,
        entry=delivery.entry.decode(),
        enqueued_at=message.enqueued_at,
        attempt=delivery.attempt,
        worker=worker,
    )


def _ask_all(database: Database, commands: list[Command]) -> list[Any]:
    return database.ask_all(commands) if commands else []


def _pending_command(stream: str, page: list[Any]) -> Command:
    return ("XPENDING", stream, GROUP, page[0][0], page[-1][0], len(page))


def _sort_key(entry: str) -> tuple[int, int]:
    at, _, number = entry.partition("-")
    return int(at), int(number)
