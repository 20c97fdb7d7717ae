"""Fetch: take no more than can start soon, from the queues in their order."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from jobistemer.core.handlers.handler import Handler
from jobistemer.core.runs.message import Delivery
from jobistemer.store.actions import hand_back
from jobistemer.store.calls import streams
from jobistemer.store.calls.streams import StreamReader
from jobistemer.store.database import Database
from jobistemer.store.keys import is_front, place_of_stream
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.attempts.prefetch import Prefetch
from jobistemer.worker.attempts.run_logger import log_extra
from jobistemer.worker.fetch.admission import Admission
from jobistemer.worker.fetch.queue_order import QueueOrder

UNKNOWN_DELAY_MS = 5_000
"""How long a run whose task this worker does not know is put off, so that one that does can take it."""
FULL_PAUSE_S = 0.05
REREAD_INTERVAL_S = 30.0
"""A read that broke off may reach a server that hung only after this worker has looked at what it missed, so it looks
again at times."""

StreamEntries = tuple[bytes, list[Any]]
"""A stream, and the entries taken from it."""

log = logging.getLogger("jobistemer.worker")


class Fetcher:
    """The one thread of a worker that takes entries of one shard."""

    def __init__(
        self,
        database: Database,
        consumer: str,
        queue_order: QueueOrder,
        prefetch: Prefetch,
        handlers: Mapping[str, Handler],
        dispatch: Callable[[list[Attempt]], None],
    ) -> None:
        self._database = database
        self._reader = StreamReader(database, consumer)
        self._worker = consumer
        self._queue_order = queue_order
        self._prefetch = prefetch
        self._handlers = handlers
        self._dispatch = dispatch
        self._admission = Admission(database, queue_order)
        self._must_reread = False
        self._next_reread = time.monotonic() + REREAD_INTERVAL_S
        # Places whose last read gave all that was asked for: there may be more.
        self._places_with_more: set[str] = set()
        self._place_count = 0
        self.found_nothing = False

    def step(self, *, block: bool = True) -> int:
        """Take what there is room for; wait for the first when there is nothing. How many entries were taken."""
        if self._must_reread or time.monotonic() >= self._next_reread:
            self._next_reread = time.monotonic() + REREAD_INTERVAL_S
            self._reread_pending()
        # Until this step has come to its end: an answer may have been lost, or an entry not given back.
        self._must_reread = True
        taken = self._step(block=block)
        self._must_reread = False
        return taken

    def interrupt(self) -> None:
        """End the wait of a step that is under way; what it is given meanwhile counts. Raises NotConnected, …."""
        self._reader.interrupt()

    def _step(self, *, block: bool) -> int:
        self.found_nothing = False
        room = self._prefetch.capacity()
        places = self._queue_order.places() if room > 0 else []
        if not places:
            self._prefetch.wait(FULL_PAUSE_S)
            return 0
        if len(places) != self._place_count:
            # What waits in a queue that is read for the first time, or again after a pause, is not known.
            self._place_count = len(places)
            self._places_with_more.update(places)
        # When nothing is left, wait for all places at once; the count is for each of them.
        taken = self._read_in_order(places) or self._read_waiting(places, room, block=block)
        self.found_nothing = not taken
        return taken

    def _read_in_order(self, places: list[str]) -> int:
        """One read for each place that held more than was taken last time, with the quiet ones before it."""
        taken = start = 0
        if not self._places_with_more:
            return 0
        with self._prefetch.reserve() as room:
            for end, place in enumerate(places, 1):
                if place in self._places_with_more and taken < room:
                    taken += self._accept_all(self._read(places[start:end], room - taken, block=False))
                    start = end
        return taken

    def _read_waiting(self, places: list[str], room: int, *, block: bool) -> int:
        before = self._prefetch.in_flight
        fetched = self._read(places, max(1, room // len(places)), block=block)
        taken = sum(len(entries) for _, entries in fetched)
        # While this read waited, room was taken by what came from other shards. What has none now goes back at once: on
        # another worker it can start.
        left = room - max(0, self._prefetch.in_flight - before)
        self._return_surplus(fetched, min(taken, room) - max(0, left))
        return self._accept_all(fetched)

    def _read(self, places: list[str], count: int, *, block: bool) -> list[StreamEntries]:
        fetched = self._reader.fetch(places, count, block=block)
        self._places_with_more.difference_update(places)
        self._places_with_more.update(place_of_stream(stream) for stream, entries in fetched if len(entries) == count)
        return fetched

    def _accept_all(self, fetched: list[StreamEntries]) -> int:
        for stream, entries in fetched:
            self._accept(stream, entries)
        return sum(len(entries) for _, entries in fetched)

    def _return_surplus(self, fetched: list[StreamEntries], count: int) -> None:
        """Hand back so many of what was fetched, the last in order first; they are taken off the lists."""
        returned = 0
        for stream, entries in reversed(fetched):
            last = entries[max(0, len(entries) - (count - returned)) :] if count > returned else []
            readable = [delivery for delivery, _ in streams.read_deliveries(stream, last) if delivery is not None]
            hand_back.hand_back(self._database, readable, self._worker)
            gone = {delivery.entry for delivery in readable}
            entries[:] = [each for each in entries if each[0] not in gone]
            returned += len(last)

    def _reread_pending(self) -> None:
        """Take what the server holds as pending for this worker and this worker does not have."""
        # Noted beforehand: what is ended while the server is asked must not be taken for new.
        in_flight = self._prefetch.entries()
        for place in self._queue_order.all_places():
            for stream, entries in self._reader.fetch_pending(place):
                self._accept(stream, [each for each in entries if (stream, each[0]) not in in_flight])

    def _accept(self, stream: bytes, entries: list[Any]) -> None:
        attempts: list[Attempt] = []
        to_admit: list[Attempt] = []
        unknown: list[tuple[Delivery | None, bytes]] = []
        admit_all = bool(self._queue_order.on_hold) or is_front(stream)
        for delivery, entry in streams.read_deliveries(stream, entries):
            message = delivery.message if delivery else None
            handler = self._handlers.get(message.handler) if message else None
            if delivery is not None and message is not None and handler is not None:
                attempt = Attempt(self._database, delivery, handler, self._worker, self._handlers)
                # For most runs this is all that admission costs.
                needs_admission = (
                    handler.limits or handler.queue_limits or message.expires_at or message.unique_queued or admit_all
                )
                (to_admit if needs_admission else attempts).append(attempt)
            else:
                unknown.append((delivery, entry))
        # First what can be worked off: should the server fail over the others, it is not held up.
        self._deliver(attempts)
        if to_admit:
            self._deliver(self._admission.admit(to_admit))
        for delivery, entry in unknown:
            self._return_unknown(stream, entry, delivery)

    def _deliver(self, attempts: list[Attempt]) -> None:
        self._prefetch.add([attempt.key for attempt in attempts])
        self._dispatch(attempts)

    def _return_unknown(self, stream: bytes, entry: bytes, delivery: Delivery | None) -> None:
        if delivery is None:
            log.error("entry %s of %s holds no readable message and is dropped", entry, stream)
            streams.drop_entry(self._database, stream, entry)
            return
        note = f"no worker that was asked knows task {delivery.message.handler}"
        log.warning("%s: %s; it waits for one that does", delivery.message.run, note, extra=log_extra(delivery))
        hand_back.hand_back(self._database, [delivery], self._worker, UNKNOWN_DELAY_MS, note)
