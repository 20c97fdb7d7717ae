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
from jobistemer.worker.attempts.attempt import Flight
from jobistemer.worker.attempts.prefetch import Room
from jobistemer.worker.attempts.run_logger import about
from jobistemer.worker.fetch.admission import Gate
from jobistemer.worker.fetch.queue_order import Order

UNKNOWN_DELAY_MS = 5_000
"""How long a run whose task this worker does not know is put off, so that one that does can take it."""
NO_ROOM_S = 0.05
LOOK_BACK_S = 30.0
"""A read that broke off may reach a server that hung only after this worker has looked at what it missed, so it looks
again at times."""

Fetched = tuple[bytes, list[Any]]
"""A stream, and the entries taken from it."""

log = logging.getLogger("jobistemer.worker")


class Fetcher:
    """The one thread of a worker that takes entries of one shard."""

    def __init__(
        self,
        database: Database,
        consumer: str,
        order: Order,
        room: Room,
        handlers: Mapping[str, Handler],
        dispatch: Callable[[list[Flight]], None],
    ) -> None:
        self._database = database
        self._reader = StreamReader(database, consumer)
        self._worker = consumer
        self._order = order
        self._room = room
        self._handlers = handlers
        self._dispatch = dispatch
        self._gate = Gate(database, order)
        self._broken_off = False
        self._next_look_back = time.monotonic() + LOOK_BACK_S
        # Places whose last read gave all that was asked for: there may be more.
        self._busy: set[str] = set()
        self._reading = 0
        self.ran_dry = False

    def step(self, *, block: bool = True) -> int:
        """Take what there is room for; wait for the first when there is nothing. How many entries were taken."""
        if self._broken_off or time.monotonic() >= self._next_look_back:
            self._next_look_back = time.monotonic() + LOOK_BACK_S
            self._take_again()
        # Until this step has come to its end: an answer may have been lost, or an entry not given back.
        self._broken_off = True
        taken = self._step(block=block)
        self._broken_off = False
        return taken

    def interrupt(self) -> None:
        """End the wait of a step that is under way; what it is given meanwhile counts. Raises NotConnected, …."""
        self._reader.interrupt()

    def _step(self, *, block: bool) -> int:
        self.ran_dry = False
        room = self._room.free()
        places = self._order.places() if room > 0 else []
        if not places:
            self._room.wait(NO_ROOM_S)
            return 0
        if len(places) != self._reading:
            # What waits in a queue that is read for the first time, or again after a pause, is not known.
            self._reading = len(places)
            self._busy.update(places)
        # When nothing is left, wait for all places at once; the count is for each of them.
        taken = self._in_order(places) or self._wait(places, room, block=block)
        self.ran_dry = not taken
        return taken

    def _in_order(self, places: list[str]) -> int:
        """One read for each place that held more than was taken last time, with the quiet ones before it."""
        taken = start = 0
        if not self._busy:
            return 0
        with self._room.reserved() as room:
            for end, where in enumerate(places, 1):
                if where in self._busy and taken < room:
                    taken += self._accept_all(self._take(places[start:end], room - taken, block=False))
                    start = end
        return taken

    def _wait(self, places: list[str], room: int, *, block: bool) -> int:
        before = self._room.in_flight
        fetched = self._take(places, max(1, room // len(places)), block=block)
        taken = sum(len(entries) for _, entries in fetched)
        # While this read waited, room was taken by what came from other shards. What has none now goes back at once: on
        # another worker it can start.
        left = room - max(0, self._room.in_flight - before)
        self._give_back(fetched, min(taken, room) - max(0, left))
        return self._accept_all(fetched)

    def _take(self, places: list[str], count: int, *, block: bool) -> list[Fetched]:
        fetched = self._reader.fetch(places, count, block=block)
        self._busy.difference_update(places)
        self._busy.update(place_of_stream(stream) for stream, entries in fetched if len(entries) == count)
        return fetched

    def _accept_all(self, fetched: list[Fetched]) -> int:
        for stream, entries in fetched:
            self._accept(stream, entries)
        return sum(len(entries) for _, entries in fetched)

    def _give_back(self, fetched: list[Fetched], count: int) -> None:
        """Hand back so many of what was fetched, the last in order first; they are taken off the lists."""
        returned = 0
        for stream, entries in reversed(fetched):
            last = entries[max(0, len(entries) - (count - returned)) :] if count > returned else []
            readable = [delivery for delivery, _ in streams.deliveries(stream, last) if delivery is not None]
            hand_back.hand_back(self._database, readable, self._worker)
            gone = {delivery.entry for delivery in readable}
            entries[:] = [each for each in entries if each[0] not in gone]
            returned += len(last)

    def _take_again(self) -> None:
        """Take what the server holds as pending for this worker and this worker does not have."""
        # Noted beforehand: what is ended while the server is asked must not be taken for new.
        held = self._room.held()
        for where in self._order.known():
            for stream, entries in self._reader.fetch_again(where):
                self._accept(stream, [each for each in entries if (stream, each[0]) not in held])

    def _accept(self, stream: bytes, entries: list[Any]) -> None:
        flights: list[Flight] = []
        asking: list[Flight] = []
        strangers: list[tuple[Delivery | None, bytes]] = []
        all_ask = bool(self._order.on_hold) or is_front(stream)
        for delivery, entry in streams.deliveries(stream, entries):
            message = delivery.message if delivery else None
            handler = self._handlers.get(message.handler) if message else None
            if delivery is not None and message is not None and handler is not None:
                flight = Flight(self._database, delivery, handler, self._worker, self._handlers)
                # For most runs this is all that the gate costs.
                asks = handler.limits or handler.queue_limits or message.expires_at or message.unique_queued or all_ask
                (asking if asks else flights).append(flight)
            else:
                strangers.append((delivery, entry))
        # First what can be worked off: should the server fail over the others, it is not held up.
        self._receive(flights)
        if asking:
            self._receive(self._gate.admit(asking))
        for delivery, entry in strangers:
            self._refuse(stream, entry, delivery)

    def _receive(self, flights: list[Flight]) -> None:
        self._room.take([flight.key for flight in flights])
        self._dispatch(flights)

    def _refuse(self, stream: bytes, entry: bytes, delivery: Delivery | None) -> None:
        if delivery is None:
            log.error("entry %s of %s holds no readable message and is dropped", entry, stream)
            streams.drop_entry(self._database, stream, entry)
            return
        note = f"no worker that was asked knows task {delivery.message.handler}"
        log.warning("%s: %s; it waits for one that does", delivery.message.run, note, extra=about(delivery))
        hand_back.hand_back(self._database, [delivery], self._worker, UNKNOWN_DELAY_MS, note)
