"""The outbox of a shard: attempts that have ended and are not recorded yet. Two committers take from it."""

from __future__ import annotations

import threading
from contextlib import suppress
from queue import Empty, SimpleQueue

from jobistemer.worker.attempts.attempt import Flight

WAIT_S = 0.5


class Outbox:
    """Filled by slots; each attempt is taken once."""

    def __init__(self) -> None:
        self._ended: SimpleQueue[Flight | None] = SimpleQueue()
        self._plenty = threading.Event()

    def put(self, flight: Flight) -> None:
        """Hand over an attempt that has ended."""
        self._ended.put(flight)

    def end(self) -> None:
        """Let the one that waits wait for nothing more: there will be none."""
        self._ended.put(None)
        self._plenty.set()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is there to be taken."""
        return self._ended.empty()

    def take(self, most: int) -> list[Flight]:
        """Wait for the first, and take what is there; where there may be more, somebody else is called to help."""
        return self._taken(most, WAIT_S)

    def take_rest(self, most: int) -> list[Flight]:
        """Wait until there is more than one could take, and take some of it."""
        self._plenty.wait(WAIT_S)
        self._plenty.clear()
        return self._taken(most, 0.0)

    def _taken(self, most: int, wait_s: float) -> list[Flight]:
        taken: list[Flight] = []
        with suppress(Empty):
            flight = self._ended.get(timeout=wait_s)
            while flight is not None:
                taken.append(flight)
                if len(taken) >= most:
                    self._plenty.set()
                    break
                flight = self._ended.get_nowait()
        return taken
