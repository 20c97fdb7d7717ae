"""One event loop in a thread of its own, and the check whether it still runs callbacks."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from jobistemer.runtime.repeat import start_thread
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.attempts.in_flight import RunningAttempts
from jobistemer.worker.execute.forks import watch_forks
from jobistemer.worker.slots.coroutines import CoroutineSlots
from jobistemer.worker.slots.isolation import Isolation
from jobistemer.worker.slots.threads import raise_stopped

log = logging.getLogger("jobistemer.worker")


class EventLoop:
    """An event loop with slots. prepare: makes the coroutine that is awaited before the first attempt."""

    def __init__(
        self,
        count: int,
        waiting: deque[Attempt],
        attempts: RunningAttempts,
        report: Callable[[Attempt], None],
        isolation: Isolation | None,
        prepare: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self._count = count
        self._prepare = prepare
        self._pinged_at = 0.0
        self._ended = False
        self.interrupted_at = 0.0
        self._loop = asyncio.new_event_loop()
        self.slots = CoroutineSlots(self._loop, waiting, attempts, report, isolation)
        try:
            self.thread = start_thread(self._run, "event loop")
        except RuntimeError:
            # Tried again with every check: each loop that is left open would keep three files.
            self._loop.close()
            raise

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of asyncio."""
        return self._loop

    def end(self) -> None:
        """End the loop, whatever runs on it."""
        self._ended = True
        self._loop.call_soon_threadsafe(self._finish)

    def ping(self, now: float) -> None:
        """Send a callback to the loop, unless an earlier one has not run yet: then its time counts."""
        if not self._pinged_at:
            self.ping_again(now)

    def ping_again(self, now: float) -> None:
        """Send a callback to the loop, and count its silence from now."""
        self._pinged_at = now
        self._loop.call_soon_threadsafe(self._pong)

    def silent_for_s(self, now: float) -> float:
        """Return the seconds since the first callback that the loop has not run; 0 when it has run all."""
        return now - self._pinged_at if self._pinged_at else 0.0

    def interrupt(self, now: float) -> None:
        """Raise Stopped in the code that blocks the loop, once."""
        # Once: a second exception could hit the clean-up that the first one caused.
        if not self.interrupted_at and self.thread.ident is not None:
            self.interrupted_at = now
            raise_stopped(self.thread.ident)

    def _pong(self) -> None:
        self._pinged_at = self.interrupted_at = 0.0

    def _run(self) -> None:
        with watch_forks():
            self._run_loop()

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        if self._prepare is not None:
            try:
                self._loop.run_until_complete(self._prepare())
            except BaseException:
                # `sys.exit` in a start function of the app: without this loop no coroutine would ever run.
                log.exception("the start functions on the event loop that replaces a blocked one")
        for _ in range(self._count):
            self.slots.add()
        while not self._ended:
            try:
                # A handler may stop the loop, and `sys.exit` in a task that it has started is raised here.
                self._loop.run_forever()
            except BaseException as error:  # noqa: BLE001 - nothing that a handler does may end this thread
                log.warning("a task or callback of a handler raised %s in the event loop", type(error).__name__)

    def _finish(self) -> None:
        self.slots.end()
        # Later, so that the slots that are idle have ended before the loop stops.
        self._loop.call_later(0.01, self._loop.stop)
