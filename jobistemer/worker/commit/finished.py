"""The finished queue of a shard: attempts that have ended and are not recorded yet. Two committers take from it."""

from __future__ import annotations

import threading
from contextlib import suppress
from queue import Empty, SimpleQueue

from jobistemer.worker.attempts.attempt import Attempt

WAIT_S = 0.5


class FinishedQueue:
    """Filled by slots; each attempt is taken once."""

    def __init__(self) -> None:
        self._ended: SimpleQueue[Attempt | None] = SimpleQueue()
        self._overflow = threading.Event()

    def put(self, attempt: Attempt) -> None:
        """Hand over an attempt that has ended."""
        self._ended.put(attempt)

    def end(self) -> None:
        """Let the one that waits wait for nothing more: there will be none."""
        self._ended.put(None)
        self._overflow.set()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is there to be taken."""
        return self._ended.empty()

    def take(self, limit: int) -> list[Attempt]:
        """Wait for the first, and take what is there; where there may be more, somebody else is called to help."""
        return self._take_batch(limit, WAIT_S)

    def take_overflow(self, limit: int) -> list[Attempt]:
        """Wait until there is more than one could take, and take some of it."""
        self._overflow.wait(WAIT_S)
        self._overflow.clear()
        return self._take_batch(limit, 0.0)

    def _take_batch(self, limit: int, wait_s: float) -> list[Attempt]:
        taken: list[Attempt] = []
        with suppress(Empty):
            attempt = self._ended.get(timeout=wait_s)
            while attempt is not None:
                taken.append(attempt)
                if len(taken) >= limit:
                    self._overflow.set()
                    break
                attempt = self._ended.get_nowait()
        return taken
