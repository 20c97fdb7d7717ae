"""Threads that run plain functions, one at a time each, or wait for the process beside them that does."""

from __future__ import annotations

import ctypes
import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue

from jobistemer.runtime.repeat import start_thread
from jobistemer.worker.attempts.attempt import Flight, Flights
from jobistemer.worker.execute.execute import run
from jobistemer.worker.execute.outcomes import raised
from jobistemer.worker.process.pool import Pool
from jobistemer.worker.process.run_in_process import run_apart

Report = Callable[[Flight], None]

log = logging.getLogger("jobistemer.worker")


class Stopped(BaseException):
    """Raised inside a handler's thread whose attempt was stopped: no `except Exception` swallows it."""


def raise_stopped(ident: int) -> None:
    """Raise Stopped in a thread, as soon as it executes Python again."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(Stopped))


class ThreadSlots:
    """A fixed number of threads. One whose attempt was stopped is replaced at once, whatever it goes on doing."""

    def __init__(self, count: int, flights: Flights, report: Report, pool: Pool | None) -> None:
        self._flights = flights
        self._report = report
        self._pool = pool
        self._waiting: SimpleQueue[Flight | None] = SimpleQueue()
        self._count = count
        # Threads whose attempts were stopped and that have not ended yet, and since when.
        self._given_up: dict[int, float] = {}
        for _ in range(count):
            self._add_thread()

    def leaked(self, before: float) -> int:
        """How many threads were given up before that moment and still run what nobody waits for."""
        return sum(since < before for since in list(self._given_up.values()))

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
            self._given_up[ident] = time.monotonic()
            raise_stopped(ident)
            hit.set()
            self._add_thread()

        ident, hit = threading.get_ident(), threading.Event()
        waiting, flights, report = self._waiting, self._flights, self._report
        with suppress(Stopped):
            while (flight := waiting.get()) is not None:
                pool = self._pool if flight.apart else None
                try:
                    ours = run_apart(flight, flights, pool) if pool else run(flight, flights, stop)
                except Exception as error:
                    # A fault of ours. Neither the slot nor what it ran may be lost over it.
                    log.exception("slot: unexpected error")
                    ours = flights.end(flight, raised(error))
                if ours:
                    report(flight)
                elif not pool:
                    # Only then may it end: another thread may get its identity, and must not be hit instead.
                    hit.wait()
                    break
        self._given_up.pop(ident, None)
