"""What a worker has taken and not yet ended."""

from __future__ import annotations

import time
from collections.abc import Callable

from jobistemer.core.endings import Outcome
from jobistemer.core.handlers import Handler
from jobistemer.core.messages import Delivery
from jobistemer.store.database import Database


class Flight:
    """One attempt in this worker. Written by the slot that runs it; `stop` is called by the watch."""

    __slots__ = ("database", "delivery", "ended", "handler", "outcome", "shown", "started", "stop")

    def __init__(self, database: Database, delivery: Delivery, handler: Handler) -> None:
        self.database = database
        self.delivery = delivery
        self.handler = handler
        self.started = 0.0
        self.ended = 0.0
        self.outcome: Outcome | None = None
        self.shown = False
        self.stop: Callable[[str], None] | None = None


class Flights:
    """The attempts that are running, by stream entry.

    Ending one is a race between the slot that ran it and the watch that stopped it. Taking it out of this
    dictionary decides the race: `dict.pop` is atomic, and only who gets the flight reports its outcome.
    """

    def __init__(self) -> None:
        self._running: dict[bytes, Flight] = {}

    def __len__(self) -> int:
        return len(self._running)

    def begin(self, flight: Flight, stop: Callable[[str], None]) -> None:
        """Note that a slot runs this attempt now; `stop` interrupts it from another thread."""
        flight.stop = stop
        flight.started = time.monotonic()
        self._running[flight.delivery.entry] = flight

    def end(self, flight: Flight) -> bool:
        """Whether the caller is the one to report the outcome."""
        flight.ended = time.monotonic()
        return self._running.pop(flight.delivery.entry, None) is not None

    def running(self) -> list[Flight]:
        """The attempts that are running at this moment."""
        return list(self._running.values())
