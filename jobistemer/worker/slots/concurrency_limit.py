"""The concurrency limit: threads and an event loop together run no more at a time than the worker's setting allows."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from jobistemer.worker.attempts.attempt import Attempt


class WaitingAttempts(Protocol):
    """A queue of attempts that have not started."""

    def take_unstarted(self) -> list[Attempt]:
        """Remove the attempts that have not started from the queue, and return them."""
        ...


class Executor(WaitingAttempts, Protocol):
    """The slots of one kind: threads, or an event loop."""

    def put(self, attempts: Iterable[Attempt]) -> None:
        """Queue attempts."""
        ...


class ConcurrencyLimit:
    """The one queue in front of both kinds of slots, for apps that have handlers of both kinds.

    Each executor has as many slots as the worker's concurrency, so each could use all of them; this queue starts no
    more attempts than both together may run. blocked: attempts that a blocked event loop holds up, and suspects that
    wait for a process; as many others may run in their place.
    """

    def __init__(
        self, count: int, choose_executor: Callable[[Attempt], Executor], sources: Sequence[WaitingAttempts]
    ) -> None:
        """Prepare for attempts. sources: where those wait that this queue has let start."""
        self._count = count
        self._choose_executor = choose_executor
        self._sources = sources
        self._lock = threading.Lock()
        self._waiting: deque[Attempt] = deque()
        self._busy = 0
        self.blocked = 0

    def put(self, attempts: Iterable[Attempt]) -> None:
        """Queue attempts; start as many as the limit allows."""
        with self._lock:
            self._waiting.extend(attempts)
            self._start_waiting()

    def release(self) -> None:
        """Count one attempt less as running, after its report, and start the next."""
        with self._lock:
            self._busy -= 1
            self._start_waiting()

    def take_unstarted(self) -> list[Attempt]:
        """Remove the attempts that have not started from the queue, and return them."""
        with self._lock:
            returned = [attempt for source in self._sources for attempt in source.take_unstarted()]
            self._busy -= len(returned)
            found = [*returned, *self._waiting]
            self._waiting.clear()
        return found

    def _start_waiting(self) -> None:
        while self._waiting and self._busy < self._count + self.blocked:
            attempt = self._waiting.popleft()
            self._busy += 1
            self._choose_executor(attempt).put([attempt])
