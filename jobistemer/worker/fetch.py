"""Fetch: take no more than can start soon, from the queues in their order."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping

from jobistemer.core.handlers import Handler
from jobistemer.core.messages import Delivery
from jobistemer.core.options import DEFAULT_PRIORITY
from jobistemer.store import queues, runs
from jobistemer.store.database import Database
from jobistemer.store.keys import place, split_place
from jobistemer.store.queues import StreamReader
from jobistemer.worker.flight import Flight
from jobistemer.worker.inbox import Room

UNKNOWN_DELAY_MS = 5_000
"""How long a run whose task this worker does not know is put off, so that one that does can take it."""
NO_ROOM_S = 0.05

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
        self.ran_dry = False

    def step(self, *, block: bool = True) -> int:
        """Take what there is room for; wait for the first when there is nothing. How many entries were taken."""
        room = self._room.free()
        if room <= 0:
            self._room.wait(NO_ROOM_S)
            return 0
        places = self._order.places()
        if not places:
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
        taken = 0
        for stream, entries in self._reader.fetch(places, count, block=block):
            self._room.taken += len(entries)
            taken += len(entries)
            read = queues.deliveries(stream, entries)
            flights = [self._flight(delivery) for delivery, _ in read if delivery is not None]
            known = [flight for flight in flights if flight is not None]
            self._dispatch(known)
            self._room.taken -= len(entries) - len(known)
            for delivery, entry in read:
                if delivery is None:
                    log.error("entry %s of %s holds no readable message and is dropped", entry, stream)
                    queues.drop_entry(self._database, stream, entry)
        return taken

    def _flight(self, delivery: Delivery) -> Flight | None:
        handler = self._handlers.get(delivery.message.handler)
        if handler is not None:
            return Flight(self._database, delivery, handler, self._worker)
        note = f"no worker that was asked knows task {delivery.message.handler}"
        log.warning("%s: %s; it waits for one that does", delivery.message.run, note)
        now_ms = self._database.clock.now_ms()
        self._database.call(runs.hand_back(self._database.keys, delivery, now_ms, UNKNOWN_DELAY_MS, note))
        return None
