"""One event loop in a thread of its own, with a fixed number of coroutines at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable

from jobistemer.runtime.repeating import start_thread
from jobistemer.worker.apart import run_apart_async
from jobistemer.worker.execute import run_async
from jobistemer.worker.flight import Flight, Flights
from jobistemer.worker.pool import Pool
from jobistemer.worker.threads import raise_stopped

BREATHS = 64
"""After so many coroutines that never waited, the loop gets a turn for what else it has to do."""

log = logging.getLogger("jobistemer.worker")


class EventLoop:
    """Takes its work from a line that it shares with its successor."""

    def __init__(
        self,
        count: int,
        waiting: deque[Flight],
        flights: Flights,
        report: Callable[[Flight], None],
        pool: Pool | None,
    ) -> None:
        self._flights = flights
        self._report = report
        self._pool = pool
        self._count = count
        self._waiting = waiting
        self._idle: deque[asyncio.Future[None]] = deque()
        # Slots with what stops them; the tasks of stopped attempts whose code has not ended, and since when.
        self._slots: dict[asyncio.Task[None], Callable[[], None]] = {}
        self._retired: dict[asyncio.Task[None], float] = {}
        self._asked_at = 0.0
        self._ended = False
        self.hit_at = 0.0
        self._loop = asyncio.new_event_loop()
        self.thread = start_thread(self._run, "loop")

    def leaked(self, before: float) -> int:
        """How many coroutines were stopped before that moment and have not ended."""
        return sum(since < before for since in list(self._retired.values()))

    def wake(self, count: int) -> None:
        """There is work in the line; called from other threads."""
        # A slot lists itself as idle before it looks at the line for the last time, so none is missed here.
        if self._idle:
            self._loop.call_soon_threadsafe(self._wake, count)

    def end(self) -> None:
        """Let the loop end, whatever runs on it."""
        self._ended = True
        self._loop.call_soon_threadsafe(self._finish)

    def retire(self) -> None:
        """Take no more work: its line is another's from now on."""
        self._waiting = deque()

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

    def of(self, running: list[Flight]) -> list[Flight]:
        """Those of the running attempts that run here."""
        mine = set(self._slots.values())
        return [flight for flight in running if flight.stop in mine]

    def executing(self) -> Callable[[], None] | None:
        """What stops the slot that is executing right now; None when it is a callback, or a task of a handler's own."""
        task = asyncio.current_task(self._loop)
        return self._slots.get(task) if task is not None else None

    def _answer(self) -> None:
        self._asked_at = self.hit_at = 0.0

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        for _ in range(self._count):
            self._add_slot()
        while not self._ended:
            try:
                # A handler may stop the loop, and `sys.exit` in a task that it started ends up here.
                self._loop.run_forever()
            except BaseException as error:  # noqa: BLE001 - nothing that a handler does ends this thread
                log.warning("a task or callback of a handler raised %s in the event loop", type(error).__name__)

    def _finish(self) -> None:
        for turn in self._idle:
            turn.cancel()
        # Slots that are free end now; what others run is nobody's any more.
        self._loop.call_later(0.01, self._loop.stop)

    def _add_slot(self) -> None:
        task = self._loop.create_task(self._work())
        self._slots[task] = lambda: self._stop(task)
        task.add_done_callback(self._on_end)

    def _on_end(self, task: asyncio.Task[None]) -> None:
        self._retired.pop(task, None)
        if self._slots.pop(task, None) is not None and not self._ended:
            # A handler may cancel the task that it runs in; the slot does not go with it.
            self._add_slot()

    def _wake(self, count: int) -> None:
        for _ in range(count):
            while self._idle:
                turn = self._idle.popleft()
                if not turn.done():
                    turn.set_result(None)
                    break

    async def _work(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this is a task
        stop = self._slots[task]
        breaths = 0
        while True:
            flight = await self._next()
            if flight.apart and self._pool is not None:
                await run_apart_async(flight, self._flights, self._pool, self._report)
                continue
            if not await run_async(flight, self._flights, stop):
                return
            self._report(flight)
            if task.cancelling():
                # Somebody cancelled it and the handler took no notice: what comes next starts with a clean slate.
                return
            breaths = (breaths + 1) % BREATHS
            if not breaths:
                await asyncio.sleep(0)

    async def _next(self) -> Flight:
        while True:
            try:
                return self._waiting.popleft()
            except IndexError:
                turn = self._loop.create_future()
            self._idle.append(turn)
            if self._waiting:
                turn.cancel()
            else:
                await turn

    def _stop(self, task: asyncio.Task[None]) -> None:
        self._loop.call_soon_threadsafe(self._replace, task)

    def _replace(self, task: asyncio.Task[None]) -> None:
        # The attempt is over; its slot goes with it, because a coroutine may swallow its cancellation.
        if self._slots.pop(task, None) is not None:
            self._retired[task] = time.monotonic()
            self._add_slot()
            task.cancel()
