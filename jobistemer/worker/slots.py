"""Slots: threads for plain functions, an event loop for coroutines. A slot survives whatever a handler does."""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue

from jobistemer.runtime.repeating import start_thread
from jobistemer.worker.execute import run, run_async
from jobistemer.worker.flight import Flight, Flights

Report = Callable[[Flight], None]
BREATHS = 64
"""After so many coroutines that never waited, the loop gets a turn for what else it has to do."""


class Stopped(BaseException):
    """Raised inside a handler's thread whose attempt was stopped: no `except Exception` swallows it."""


class ThreadSlots:
    """Threads that run plain functions, one at a time each."""

    def __init__(self, count: int, flights: Flights, report: Report) -> None:
        self._flights = flights
        self._report = report
        self._waiting: SimpleQueue[Flight | None] = SimpleQueue()
        self._count = count
        for _ in range(count):
            self._add_thread()

    def put(self, flights: Iterable[Flight]) -> None:
        """Queue work."""
        for flight in flights:
            self._waiting.put(flight)

    def take_back(self) -> list[Flight]:
        """What has not been started; it will not be."""
        found: list[Flight] = []
        while True:
            try:
                flight = self._waiting.get_nowait()
            except Empty:
                return found
            if flight is not None:
                found.append(flight)

    def end(self) -> None:
        """Let threads that are free end."""
        for _ in range(self._count):
            self._waiting.put(None)

    def _add_thread(self) -> None:
        start_thread(self._work, "slot")

    def _work(self) -> None:
        def stop() -> None:
            # The attempt is over and this thread retires: whatever hits it later hits nobody's run.
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(Stopped))
            hit.set()
            self._add_thread()

        ident, hit = threading.get_ident(), threading.Event()
        waiting, flights, report = self._waiting, self._flights, self._report
        with suppress(Stopped):
            while (flight := waiting.get()) is not None:
                if not run(flight, flights, stop):
                    # Only then may it end: another thread may get its identity, and must not be hit instead.
                    hit.wait()
                    return
                report(flight)


class LoopSlots:
    """An event loop in a thread of its own, with a fixed number of coroutines at a time."""

    def __init__(self, count: int, flights: Flights, report: Report) -> None:
        self._flights = flights
        self._report = report
        self._count = count
        self._waiting: deque[Flight] = deque()
        self._idle: deque[asyncio.Future[None]] = deque()
        # Slots, and those of stopped attempts whose code has not ended yet.
        self._slots: set[asyncio.Task[None]] = set()
        self._retired: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        start_thread(self._run_loop, "loop")

    def put(self, flights: Iterable[Flight]) -> None:
        """Queue work; called from other threads."""
        self._loop.call_soon_threadsafe(self._take, list(flights))

    def take_back(self) -> list[Flight]:
        """What has not been started; it will not be."""
        found = []
        # The loop takes from the other side of this very line while it is emptied.
        with suppress(IndexError):
            while True:
                found.append(self._waiting.popleft())
        return found

    def end(self) -> None:
        """Let the loop end, whatever runs on it."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        for _ in range(self._count):
            self._add_slot()
        self._loop.run_forever()

    def _add_slot(self) -> None:
        task = self._loop.create_task(self._work())
        self._slots.add(task)
        task.add_done_callback(self._on_end)

    def _on_end(self, task: asyncio.Task[None]) -> None:
        self._retired.discard(task)
        if task in self._slots:
            # A handler may cancel the task that it runs in; the slot does not go with it.
            self._slots.discard(task)
            self._add_slot()

    def _take(self, flights: list[Flight]) -> None:
        self._waiting.extend(flights)
        for _ in flights:
            self._wake_one()

    def _wake_one(self) -> None:
        while self._idle:
            turn = self._idle.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    async def _work(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this is a task

        def stop() -> None:
            self._loop.call_soon_threadsafe(self._replace, task)

        breaths = 0
        while True:
            flight = await self._next()
            if not await run_async(flight, self._flights, stop):
                return
            self._report(flight)
            breaths = (breaths + 1) % BREATHS
            if not breaths:
                await asyncio.sleep(0)

    async def _next(self) -> Flight:
        while True:
            if self._waiting:
                return self._waiting.popleft()
            turn = self._loop.create_future()
            self._idle.append(turn)
            await turn

    def _replace(self, task: asyncio.Task[None]) -> None:
        # The attempt is over; its slot goes with it, because a coroutine may swallow its cancellation.
        if task in self._slots:
            self._slots.discard(task)
            self._retired.add(task)
            self._add_slot()
            task.cancel()
