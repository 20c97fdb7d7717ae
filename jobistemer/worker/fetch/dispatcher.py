"""Intake: takes runs from all shards, hands them to the slots, and at the end gives back what had not started."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.core.handlers.handler import Handler
from jobistemer.runtime.liveness import Vitals
from jobistemer.runtime.repeat import start_thread, until_done
from jobistemer.runtime.shutdown import Stopping
from jobistemer.store.actions import hand_back
from jobistemer.store.calls import groups, streams
from jobistemer.store.database import Database
from jobistemer.worker.attempts.attempt import Flight, Flights
from jobistemer.worker.attempts.prefetch import Room
from jobistemer.worker.fetch.fetcher import Fetcher
from jobistemer.worker.fetch.queue_order import Order
from jobistemer.worker.slots.slots import Slots

QUIET_S = 0.05

log = logging.getLogger("jobistemer.worker")


class Intake:
    """One thread for each shard, from the first fetch until the worker is asked to end.

    shards: each with what is set as soon as it has heard of this worker.
    """

    def __init__(
        self,
        shards: Mapping[Database, threading.Event],
        worker: str,
        handlers: Mapping[str, Handler],
        order: Order,
        room: Room,
        flights: Flights,
        slots: Slots,
        stopping: Stopping,
        vitals: Vitals,
    ) -> None:
        self._vitals = vitals
        self._shards = shards
        self._worker = worker
        self._room = room
        self._flights = flights
        self._slots = slots
        self._stopping = stopping
        self._order = order
        self._fetchers = {Fetcher(each, worker, order, room, handlers, self._dispatch): each for each in shards}
        self._dry: set[Fetcher] = set()
        self._last_take = object()
        self._unstarted: deque[Flight] = deque()
        self.threads: list[threading.Thread] = []

    def start(self, *, burst: bool) -> None:
        """Begin to fetch. burst: ask for the worker's end when the queues are empty."""
        self.threads = [self._fetching(fetcher, burst=burst) for fetcher in self._fetchers]

    def goes_on(self) -> bool:
        """Whether a read is still under way; it is asked to end."""
        waiting = [fetcher for fetcher, thread in zip(self._fetchers, self.threads, strict=True) if thread.is_alive()]
        for fetcher in waiting:
            with suppress(NotConnected, ServerRefused):
                fetcher.interrupt()
        return bool(waiting)

    def hand_back(self) -> None:
        """Give back what has not been started; it will not be."""
        self._unstarted.extend(self._slots.take_back())
        waiting = [self._unstarted.popleft() for _ in range(len(self._unstarted))]
        for database in self._shards:
            mine = [flight for flight in waiting if flight.database is database]
            try:
                hand_back.hand_back(database, [flight.delivery for flight in mine], self._worker)
                self._room.give_back([flight.key for flight in mine])
            except (NotConnected, ServerRefused) as error:
                log.warning("worker %s could not hand back %d runs yet: %s", self._worker, len(mine), error)
                self._unstarted.extend(mine)

    def _fetching(self, fetcher: Fetcher, *, burst: bool) -> threading.Thread:
        step: Callable[[], float | None] = partial(self._burst_step if burst else self._step, fetcher)
        name, database = f"worker {self._worker} fetch", self._fetchers[fetcher]

        def fetch() -> None:
            if self._begin(database, name):
                self._vitals.repeat(step, self._stopping.requested, name)

        return start_thread(fetch, "fetch")

    def _begin(self, database: Database, name: str) -> bool:
        """Nothing is fetched before the first beat: of a worker that nobody has heard of, nobody takes work over.

        Each shard begins by itself: the node of another may be away.
        """
        stop = self._stopping.requested
        if not until_done(partial(streams.open_streams, database, self._order.known()), stop, name):
            return False
        while not self._shards[database].wait(QUIET_S):
            if stop.is_set():
                return False
        return True

    def _step(self, fetcher: Fetcher) -> float | None:
        if self._stopping.quiet.is_set():
            return QUIET_S
        fetcher.step()
        return None

    def _burst_step(self, fetcher: Fetcher) -> float | None:
        if self._stopping.quiet.is_set():
            return QUIET_S
        idle, last_take = not self._room.in_flight, self._last_take
        if fetcher.step(block=False):
            self._last_take = object()
        # A run in flight may put others onto any stream. So a stream counts as empty when it was read while nothing
        # was in flight or taken from another, and whatever is taken from one makes all of them unknown again.
        if not (idle and fetcher.ran_dry and self._last_take is last_take):
            self._dry.clear()
            return None
        self._dry.add(fetcher)
        if len(self._dry) == len(self._fetchers):
            self._stopping.request()
        return None

    def _dispatch(self, flights: list[Flight]) -> None:
        if self._stopping.requested.is_set():
            # Taken by a read that was under way when the end was asked for.
            self._unstarted.extend(flights)
            return
        self._cancel_halted(flights)
        self._slots.put(flights)

    def _cancel_halted(self, flights: list[Flight]) -> None:
        """What belongs to a group that has failed meanwhile is not begun."""
        members = [flight for flight in flights if flight.delivery.message.member is not None]
        if members:
            with suppress(NotConnected, ServerRefused):
                self._flights.cancel(groups.halted(members[0].database, [each.delivery.message for each in members]))
