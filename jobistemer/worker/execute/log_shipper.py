"""The journal: brings to the server what handlers note, many notes a round trip, never on a handler's own path."""

from __future__ import annotations

from contextlib import suppress
from queue import Empty, SimpleQueue

from jobistemer.core.errors import NotConnected
from jobistemer.core.runs.message import Message
from jobistemer.store.calls.runs import KEEP_EARLIER_MS
from jobistemer.store.database import Database
from jobistemer.worker.attempts.attempt import Flight
from jobistemer.worker.attempts.log_buffer import Notebook

WAIT_S = 0.5
PAUSE_S = 0.1
"""Between two sendings: what is noted meanwhile goes together."""
_NO_TIMEOUT_MS = 30 * 86_400_000


class Journal:
    """One thread of a worker; it sleeps until somebody notes something."""

    def __init__(self) -> None:
        self._noted: SimpleQueue[Flight | None] = SimpleQueue()

    def take(self, flight: Flight) -> None:
        """Have the notes of an attempt sent."""
        self._noted.put(flight)

    def end(self) -> None:
        """Wait for nothing more: there will be none."""
        self._noted.put(None)

    def step(self) -> float:
        """Send what was noted; the seconds until the next sending."""
        by_shard: dict[int, dict[bytes, Flight]] = {}
        for flight in self._gathered():
            by_shard.setdefault(id(flight.database), {})[flight.delivery.entry] = flight
        for flights in by_shard.values():
            try:
                self._send(list(flights.values()))
            except NotConnected:
                # On a cluster one shard may be away while the others are there; it is told later.
                for flight in flights.values():
                    self.take(flight)
        return PAUSE_S

    def _gathered(self) -> list[Flight]:
        found = []
        with suppress(Empty):
            flight = self._noted.get(timeout=WAIT_S)
            while flight is not None:
                found.append(flight)
                flight = self._noted.get_nowait()
        return found

    def _send(self, flights: list[Flight]) -> None:
        database: Database = flights[0].database
        books: list[tuple[Notebook, tuple[int, bytes]]] = []
        calls = []
        for flight in flights:
            # What has ended has had its last notes sent with its outcome.
            if flight.desk is not None and flight.outcome is None:
                books.append((flight.desk.notebook, flight.desk.notebook.mark()))
                message = flight.delivery.message
                calls += flight.desk.notebook.calls(database.keys, flight.delivery, longest_life_ms(message))
        if calls:
            database.call_all(calls)
            for book, mark in books:
                book.acknowledge(*mark)


def longest_life_ms(message: Message) -> int:
    """How long notes may be needed while the attempt goes on; its end shortens that to its own retention."""
    return (message.timeout_ms or _NO_TIMEOUT_MS) + message.retention_ms + KEEP_EARLIER_MS
