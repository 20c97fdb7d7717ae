"""A worker that takes its steps when it is told to: one run after the other, each recorded before the next.

It is made of the parts of a real one. Only their threads are left out: what they would do at any time is done between
two runs, so that a test has the same story each time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from jobistemer.app import Jobistemer
from jobistemer.core.durations import LONGEST_WAIT_S
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.permissions import Permissions
from jobistemer.core.runs.message import Delivery
from jobistemer.store.actions import hand_back
from jobistemer.store.calls import groups
from jobistemer.store.database import Database
from jobistemer.store.keys import split_place
from jobistemer.testing.inline_executor import Slot
from jobistemer.worker.attempts.attempt import Flight, Flights
from jobistemer.worker.attempts.definition_cache import Definitions
from jobistemer.worker.attempts.prefetch import MOST_AHEAD, Room
from jobistemer.worker.commit.committer import Committer
from jobistemer.worker.commit.hook_notifier import Herald
from jobistemer.worker.execute.context_tools import Desk, Support
from jobistemer.worker.execute.default_reducer import GATHER
from jobistemer.worker.execute.middleware import equipped
from jobistemer.worker.fetch.fetcher import Fetcher
from jobistemer.worker.fetch.queue_order import Order

NAME = "worker of the test"
LONG_MS = LONGEST_WAIT_S * 1000
HOOKS_S = 60.0
"""What hooks may take that are told of an end."""


class EveryQueue(Order):
    """Every queue that has anything in it, by name, each from its highest priority on."""

    def __init__(self) -> None:
        super().__init__({"default": 0})
        self._open: list[str] = []

    def see(self, places: Iterable[str]) -> None:
        """Note which places there are."""
        self._open = sorted(places, key=_reading_order)

    def known(self) -> list[str]:
        """All places, paused ones included."""
        return list(self._open)

    def places(self) -> list[str]:
        """Those that are not paused."""
        return [each for each in self._open if split_place(each)[0] not in self.paused] if self.paused else self._open


class KnowingFetcher(Fetcher):
    """Puts off what nobody here knows once and for all.

    A real one does so for five seconds, again and again: a day of a test would be a long one, and nobody else comes.
    """

    def _refuse(self, stream: bytes, entry: bytes, delivery: Delivery | None) -> None:
        if delivery is None:
            super()._refuse(stream, entry, delivery)
        else:
            note = f"the app under test has no task {delivery.message.handler}"
            hand_back.hand_back(self._database, [delivery], self._worker, LONG_MS, note)


class WorkerSteps:
    """The worker of a test, for all shards and all queues."""

    def __init__(self, app: Jobistemer, shards: Sequence[Database]) -> None:
        self._app = app
        self._handlers: dict[str, Handler] = {}
        self._equipped_for: tuple[int, bool] = (0, False)
        self._room = Room(MOST_AHEAD)
        plugins = app.plugins
        self.flights = Flights(open_desk=partial(Desk, support=Support(Permissions(), plugins.prepare)))
        self._herald = Herald(plugins.hooks)
        self._committer = Committer(self._room, Definitions(), self._herald)
        self.slot = Slot(self.flights, self._committer.outbox.put)
        # Shared by whoever fetches: a handler that waits for another run has that one run meanwhile.
        self._taken: deque[Flight] = deque()
        self._orders = {each: EveryQueue() for each in shards}
        self._fetchers = {each: self._fetcher(each, order) for each, order in self._orders.items()}

    def hear(self) -> None:
        """What a worker hears with its beats: which queues are paused, and what is on hold."""
        self._equip()
        for database, order in self._orders.items():
            keys = database.keys
            paused: Sequence[bytes] = ()
            held: Sequence[bytes] = ()
            # As a rule there is neither, and this is asked for at each instant of a story.
            if database.ask("EXISTS", keys.paused, keys.holds):
                paused = database.ask("SMEMBERS", keys.paused)
                held = database.ask("ZRANGEBYSCORE", keys.holds, f"({database.clock.now_ms()}", "+inf")
            order.paused = {each.decode() for each in paused}
            order.on_hold = frozenset(each.decode() for each in held)

    def fetch(self, queue: str = "") -> Iterator[Flight]:
        """Take what may start now, of one queue or of all; each is to be run before the next is asked for."""
        for database, order in self._orders.items():
            places = [each.decode() for each in database.ask("SMEMBERS", database.keys.streams)]
            order.see(each for each in places if queue in ("", split_place(each)[0]))
            if order.places():
                self._fetchers[database].step(block=False)
        begun = False
        while self._taken:
            flight = self._taken.popleft()
            if begun:
                # The runs before may have cancelled it.
                self._heed_cancels(flight.database)
            begun = True
            yield flight

    def commit(self) -> None:
        """Record the attempt that has ended, and have hooks told."""
        self._committer.step()
        self._herald.finish(time.monotonic() + HOOKS_S)

    def close(self) -> None:
        """End what was started for the test."""
        self.slot.close()

    def _fetcher(self, database: Database, order: Order) -> Fetcher:
        return KnowingFetcher(database, NAME, order, self._room, self._handlers, self._take)

    def _take(self, flights: list[Flight]) -> None:
        # As a worker's intake does: what belongs to a group that has failed meanwhile is not begun.
        members = [flight for flight in flights if flight.delivery.message.member is not None]
        if members:
            self.flights.cancel(groups.halted(members[0].database, [each.delivery.message for each in members]))
        self._taken.extend(flights)

    def _equip(self) -> None:
        """Take handlers and middleware as they are declared by now: tests declare some themselves."""
        app, plugins = self._app, self._app.plugins
        hooked = bool(plugins.chain.links or plugins.hooks.starting or plugins.hooks.occurrence_starting)
        if self._equipped_for != (len(app.handlers), hooked):
            self._equipped_for = (len(app.handlers), hooked)
            found = {GATHER.name: GATHER, **equipped(app.handlers, plugins)}
            self._handlers.update({name: self.slot.witnessed(handler) for name, handler in found.items()})

    def _heed_cancels(self, database: Database) -> None:
        asked = database.ask("ZRANGE", database.keys.cancels, 0, -1)
        self.flights.cancel(dict.fromkeys((each.decode() for each in asked), ""))


def _reading_order(place: str) -> tuple[str, int]:
    queue, priority = split_place(place)
    return queue, -priority
