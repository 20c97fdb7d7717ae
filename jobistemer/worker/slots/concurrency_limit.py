"""Sharing: threads and an event loop together run no more at a time than a worker may."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from jobistemer.worker.attempts.attempt import Flight


class Executor(Protocol):
    """Threads, or an event loop."""

    def put(self, flights: Iterable[Flight]) -> None:
        """Queue work."""
        ...

    def take_back(self) -> list[Flight]:
        """What has not been started; it will not be."""
        ...


class Sharing:
    """The one line in front of both, for apps that have both kinds of handlers; the others need none.

    Each executor has as many slots as the worker may use, and gets no more than both together may have.
    """

    def __init__(self, count: int, choose: Callable[[Flight], Executor], executors: list[Executor]) -> None:
        self._count = count
        self._choose = choose
        self._executors = executors
        self._lock = threading.Lock()
        self._waiting: deque[Flight] = deque()
        self._busy = 0
        self.held_up = 0

    def put(self, flights: Iterable[Flight]) -> None:
        """Queue work."""
        with self._lock:
            self._waiting.extend(flights)
            self._let_through()

    def ended(self) -> None:
        """One that was let through has been reported."""
        with self._lock:
            self._busy -= 1
            self._let_through()

    def take_back(self) -> list[Flight]:
        """What has not been started; it will not be."""
        with self._lock:
            let_through = [flight for executor in self._executors for flight in executor.take_back()]
            self._busy -= len(let_through)
            found = [*let_through, *self._waiting]
            self._waiting.clear()
        return found

    def _let_through(self) -> None:
        while self._waiting and self._busy < self._count + self.held_up:
            flight = self._waiting.popleft()
            self._busy += 1
            self._choose(flight).put([flight])
