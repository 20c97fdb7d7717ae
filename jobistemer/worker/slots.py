"""Slots for plain functions: threads. A slot survives whatever a handler does; `loops` has those for coroutines."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue

from jobistemer.runtime.repeating import start_thread
from jobistemer.worker.execute import run
from jobistemer.worker.flight import Flight, Flights

Report = Callable[[Flight], None]


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
