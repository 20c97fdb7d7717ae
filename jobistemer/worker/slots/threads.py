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
from jobistemer.worker.attempts.attempt import Attempt, RunningAttempts
from jobistemer.worker.execute.execute import run
from jobistemer.worker.execute.outcomes import outcome_of_error
from jobistemer.worker.process.pool import ProcessPool
from jobistemer.worker.process.run_in_process import run_in_process

ReportEnd = Callable[[Attempt], None]

log = logging.getLogger("jobistemer.worker")


class Stopped(BaseException):
    """Raised inside a handler's thread whose attempt was stopped: no `except Exception` swallows it."""


def raise_stopped(ident: int) -> None:
    """Raise Stopped in a thread, as soon as it executes Python again."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(Stopped))


class ThreadSlots:
    """A fixed number of threads. One whose attempt was stopped is replaced at once, whatever it goes on doing."""

    def __init__(self, count: int, attempts: RunningAttempts, report: ReportEnd, pool: ProcessPool | None) -> None:
        self._attempts = attempts
        self._report = report
        self._pool = pool
        self._waiting: SimpleQueue[Attempt | None] = SimpleQueue()
        self._count = count
        # Threads whose attempts were stopped and that have not ended yet, and since when.
        self._stopped_threads: dict[int, float] = {}
        for _ in range(count):
            self._add_thread()

    def count_leaked(self, before: float) -> int:
        """How many threads were given up before that moment and still run what nobody waits for."""
        return sum(since < before for since in list(self._stopped_threads.values()))

    def put(self, attempts: Iterable[Attempt]) -> None:
        """Queue work."""
        for attempt in attempts:
            self._waiting.put(attempt)

    def take_unstarted(self) -> list[Attempt]:
        """What has not been started; it will not be."""
        found: list[Attempt] = []
        while True:
            try:
                attempt = self._waiting.get_nowait()
            except Empty:
                return found
            if attempt is not None:
                found.append(attempt)

    def end(self) -> None:
        """Let threads that are free end."""
        for _ in range(self._count):
            self._waiting.put(None)

    def _add_thread(self) -> None:
        start_thread(self._work, "slot")

    def _work(self) -> None:
        def stop() -> None:
            # The attempt is over and this thread retires: whatever hits it later hits nobody's run.
            self._stopped_threads[ident] = time.monotonic()
            raise_stopped(ident)
            was_interrupted.set()
            self._add_thread()

        ident, was_interrupted = threading.get_ident(), threading.Event()
        waiting, attempts, report = self._waiting, self._attempts, self._report
        with suppress(Stopped):
            while (attempt := waiting.get()) is not None:
                pool = self._pool if attempt.needs_process else None
                try:
                    must_report = run_in_process(attempt, attempts, pool) if pool else run(attempt, attempts, stop)
                except Exception as error:
                    # A fault of ours. Neither the slot nor what it ran may be lost over it.
                    log.exception("slot: unexpected error")
                    must_report = attempts.end(attempt, outcome_of_error(error))
                if must_report:
                    report(attempt)
                elif not pool:
                    # Only then may it end: another thread may get its identity, and must not be hit instead.
                    was_interrupted.wait()
                    break
        self._stopped_threads.pop(ident, None)
