"""The runs on streams: those that wait for a worker, and those that a worker has in flight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from jobistemer.core.reads.summaries import StreamRun
from jobistemer.core.runs.message import Delivery, Message
from jobistemer.core.runs.records import RunRecord
from jobistemer.core.unreadable import to_text
from jobistemer.store.calls.streams import read_deliveries
from jobistemer.store.database import Command, Database
from jobistemer.store.keys import GROUP, front_of, split_place
from jobistemer.store.reads.records import find_message
from jobistemer.store.reads.stream_stats import list_places

MIN_PER_PLACE: Final = 5
"""How many entries of each place are read at least, however many places there are."""


def list_entries(shards: Sequence[Database], queue: str = "", after: str = "-", limit: int = 50) -> list[StreamRun]:
    """Return the runs on streams, the oldest first: a page of one queue, or of all queues the oldest few of each place.

    after: the last entry of the page before. Entries written in the same instant stay on one page, which may therefore
    have a few more than `limit`.
    """
    found = [run for database in shards for run in _list_of_shard(database, queue, after, limit)]
    found.sort(key=lambda run: _sort_key(run.entry))
    last = _sort_key(found[limit - 1].entry) if queue and len(found) > limit else None
    return [run for run in found if last is None or _sort_key(run.entry) <= last]


def find_current_message(database: Database, run: RunRecord) -> Message | None:
    """Return the message of a run that has not ended: its record keeps it until the run is on a stream, then its entry.

    Returns None when it has ended meanwhile, or cannot be read.
    """
    # A run that waited for a limit is on the front of its queue. Entries of two streams may have the same id, so the
    # message decides whose entry it is.
    for where in (run.place, front_of(run.place)) if run.entry and run.place else ():
        page = database.read("XRANGE", database.keys.stream(where), run.entry, run.entry)
        for delivery, _ in read_deliveries(where.encode(), page):
            if delivery is not None and delivery.message.run == run.id:
                return delivery.message
    return find_message(database, run.id)


def _list_of_shard(database: Database, queue: str, after: str, limit: int) -> Iterator[StreamRun]:
    places = [each for each in list_places(database) if queue in {"", split_place(each)[0]}]
    count = limit if queue else max(MIN_PER_PLACE, limit // max(1, len(places)))
    start = after if after == "-" else f"({after}"
    found = database.read_all([("XRANGE", database.keys.stream(each), start, "+", "COUNT", count) for each in places])
    pages = {where: page for where, page in zip(places, found, strict=True) if page}
    # The pending list says which of the entries a worker has.
    held = database.read_all([_pending_command(database.keys.stream(where), page) for where, page in pages.items()])
    for (where, page), pending in zip(pages.items(), held, strict=True):
        workers = {each[0]: to_text(each[1]) for each in pending}
        for delivery, entry in read_deliveries(where.encode(), page):
            if delivery is not None:
                yield _build_run(delivery, where, workers.get(entry, ""))


def _build_run(delivery: Delivery, where: str, worker: str) -> StreamRun:
    message = delivery.message
    return StreamRun(
        id=message.run,
        handler=message.handler,
        place=where,
        entry=to_text(delivery.entry),
        enqueued_at=message.enqueue_ms,
        attempt=delivery.attempt,
        worker=worker,
        payload=message.payload,
    )


def _pending_command(stream: str, page: list[Any]) -> Command:
    return ("XPENDING", stream, GROUP, page[0][0], page[-1][0], len(page))


def _sort_key(entry: str) -> tuple[int, int]:
    at, _, number = entry.partition("-")
    return int(at), int(number)
