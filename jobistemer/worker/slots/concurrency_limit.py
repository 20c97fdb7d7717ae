"""The concurrency limit: threads and an event loop together run no more at a time than a worker may."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from jobistemer.worker.attempts.attempt import Attempt


class Executor(Protocol):
    """Threads, or an event loop."""

    def put(self, attempts: Iterable[Attempt]) -> None:
        """Queue work."""
        ...

    def take_unstarted(self) -> list[Attempt]:
        """What has not been started; it will not be."""
        ...


class ConcurrencyLimit:
    """The one line in front of both, for apps that have both kinds of handlers; the others need none.

    Each executor has as many slots as the worker may use, and gets no more than both together may have.
    """

    def __init__(self, count: int, choose_executor: Callable[[Attempt], Executor], executors: list[Executor]) -> None:
        self._count = count
        self._choose_executor = choose_executor
        self._executors = executors
        self._lock = threading.Lock()
        self._waiting: deque[Attempt] = deque()
        self._busy = 0
        self.blocked = 0

    def put(self, attempts: Iterable[Attempt]) -> None:
        """Queue work."""
        with self._lock:
            self._waiting.extend(attempts)
            self._start_waiting()

    def release(self) -> None:
        """One that was let through has been reported."""
        with self._lock:
            self._busy -= 1
            self._start_waiting()

    def take_unstarted(self) -> list[Attempt]:
        """What has not been started; it will not be."""
        with self._lock:
            returned = [attempt for executor in self._executors for attempt in executor.take_unstarted()]
            self._busy -= len(returned)
            found = [*returned, *self._waiting]
            self._waiting.clear()
        return found

    def _start_waiting(self) -> None:
        while self._waiting and self._busy < self._count + self.blocked:
            attempt = self._waiting.popleft()
            self._busy += 1
            self._choose_executor(attempt).put([attempt])
