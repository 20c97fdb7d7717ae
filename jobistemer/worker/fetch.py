"""Fetch: take no more than can start soon, from the queues in their order."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

from jobistemer.core.handlers import Handler
from jobistemer.core.messages import Delivery
from jobistemer.core.options import DEFAULT_PRIORITY
from jobistemer.store import queues, returning
from jobistemer.store.database import Database
from jobistemer.store.keys import place, split_place
from jobistemer.store.queues import StreamReader
from jobistemer.worker.flight import Flight
from jobistemer.worker.inbox import Room

UNKNOWN_DELAY_MS = 5_000
"""How long a run whose task this worker does not know is put off, so that one that does can take it."""
NO_ROOM_S = 0.05
LOOK_BACK_S = 30.0
"""A read that broke off may reach a server that hung only after this worker has looked at what it missed, so it looks
again at times."""

log = logging.getLogger("jobistemer.worker")


class Order:
    """In which order the places of a worker's queues are read."""

    def __init__(self, weights: Mapping[str, int]) -> None:
        self._weights = dict(weights)
        self._known = [place(queue, DEFAULT_PRIORITY) for queue in weights]
        self.paused: set[str] = set()

    def learn(self, places: list[str]) -> None:
        """Take note of the places that exist."""
        known = {*self._known, *(each for each in places if split_place(each)[0] in self._weights)}
        if len(known) != len(self._known):
            self._known = sorted(known)

    def known(self) -> list[str]:
        """All places of these queues that are known, paused ones included."""
        return list(self._known)

    def places(self) -> list[str]:
        """Places in reading order: queues as listed, or shuffled by weight; in each the highest priority first."""
        rank = {queue: position for position, queue in enumerate(self._queues())}
        usable = [(queue, -priority, each) for each in self._known for queue, priority in [split_place(each)]]
        return [
            each for queue, _, each in sorted(usable, key=lambda at: (rank[at[0]], at[1])) if queue not in self.paused
        ]

    def _queues(self) -> list[str]:
        if not any(self._weights.values()):
            return list(self._weights)
        # A weighted shuffle: each queue comes first with the probability that its weight gives it.
        draws = {queue: random.random() ** (1 / max(weight, 0.01)) for queue, weight in self._weights.items()}
        return sorted(draws, key=lambda queue: -draws[queue])


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
        self._broken_off = False
        self._next_look_back = time.monotonic() + LOOK_BACK_S
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

    def _step(self, *, block: bool) -> int:
        room, places = self._room.free(), self._order.places()
        if room <= 0 or not places:
            self._room.wait(NO_ROOM_S)
            return 0
        if len(places) == 1:
            taken = self._take(places, room, block=block)
            self.ran_dry = not taken
            return taken
        if not self.ran_dry or not block:
            taken = self._in_order(places, room)
            self.ran_dry = not taken
            if taken or not block:
                return taken
        # Nothing anywhere: wait for all places at once. The count is for each of them.
        taken = self._take(places, max(1, room // len(places)), block=True)
        self.ran_dry = not taken
        return taken

    def _in_order(self, places: list[str], room: int) -> int:
        taken = 0
        for where in places:
            if taken < room:
                taken += self._take([where], room - taken, block=False)
        return taken

    def _take(self, places: list[str], count: int, *, block: bool) -> int:
        fetched = self._reader.fetch(places, count, block=block)
        for stream, entries in fetched:
            self._accept(stream, entries)
        return sum(len(entries) for _, entries in fetched)

    def _take_again(self) -> None:
        """Take what the server holds as pending for this worker and this worker does not have."""
        # Noted beforehand: what is ended while the server is asked must not be taken for new.
        held = self._room.held()
        for where in self._order.known():
            for stream, entries in self._reader.fetch_again(where):
                self._accept(stream, [each for each in entries if (stream, each[0]) not in held])

    def _accept(self, stream: bytes, entries: list[Any]) -> None:
        flights: list[Flight] = []
        strangers: list[tuple[Delivery | None, bytes]] = []
        for delivery, entry in queues.deliveries(stream, entries):
            handler = self._handlers.get(delivery.message.handler) if delivery else None
            if delivery is not None and handler is not None:
                flights.append(Flight(self._database, delivery, handler, self._worker, self._handlers))
            else:
                strangers.append((delivery, entry))
        # First what can be worked off: should giving back the others fail, it is not held up.
        self._room.take([flight.key for flight in flights])
        self._dispatch(flights)
        for delivery, entry in strangers:
            self._refuse(stream, entry, delivery)

    def _refuse(self, stream: bytes, entry: bytes, delivery: Delivery | None) -> None:
        if delivery is None:
            log.error("entry %s of %s holds no readable message and is dropped", entry, stream)
            queues.drop_entry(self._database, stream, entry)
            return
        note = f"no worker that was asked knows task {delivery.message.handler}"
        log.warning("%s: %s; it waits for one that does", delivery.message.run, note)
        returning.hand_back(self._database, [delivery], self._worker, UNKNOWN_DELAY_MS, note)
