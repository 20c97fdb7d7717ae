"""One event loop in a thread of its own, which can be asked whether it still turns."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from jobistemer.runtime.repeat import start_thread
from jobistemer.worker.attempts.attempt import Flight, Flights
from jobistemer.worker.process.pool import Pool
from jobistemer.worker.slots.coroutines import CoroutineSlots
from jobistemer.worker.slots.threads import raise_stopped

log = logging.getLogger("jobistemer.worker")


class EventLoop:
    """A loop with slots on it."""

    def __init__(
        self,
        count: int,
        waiting: deque[Flight],
        flights: Flights,
        report: Callable[[Flight], None],
        pool: Pool | None,
    ) -> None:
        self._count = count
        self._asked_at = 0.0
        self._ended = False
        self.hit_at = 0.0
        self._loop = asyncio.new_event_loop()
        self.slots = CoroutineSlots(self._loop, waiting, flights, report, pool)
        self.thread = start_thread(self._run, "loop")

    def end(self) -> None:
        """Let the loop end, whatever runs on it."""
        self._ended = True
        self._loop.call_soon_threadsafe(self._finish)

    def ask(self, now: float) -> None:
        """Ask whether it still turns; the question before counts until it is answered."""
        if not self._asked_at:
            self.ask_anew(now)

    def ask_anew(self, now: float) -> None:
        """Ask, whatever was asked before."""
        self._asked_at = now
        self._loop.call_soon_threadsafe(self._answer)

    def silent(self, now: float) -> float:
        """Seconds for which it has not answered."""
        return now - self._asked_at if self._asked_at else 0.0

    def hit(self, now: float) -> None:
        """Raise an exception in the code that blocks it, once."""
        if not self.hit_at and self.thread.ident is not None:
            self.hit_at = now
            raise_stopped(self.thread.ident)

    def _answer(self) -> None:
        self._asked_at = self.hit_at = 0.0

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        for _ in range(self._count):
            self.slots.add()
        while not self._ended:
            try:
                # A handler may stop the loop, and `sys.exit` in a task that it started ends up here.
                self._loop.run_forever()
            except BaseException as error:  # noqa: BLE001 - nothing that a handler does ends this thread
                log.warning("a task or callback of a handler raised %s in the event loop", type(error).__name__)

    def _finish(self) -> None:
        self.slots.end()
        # Those that are free have ended by then.
        self._loop.call_later(0.01, self._loop.stop)
