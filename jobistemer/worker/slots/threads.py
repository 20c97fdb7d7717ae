"""Threads that run plain functions, one at a time each, or wait for the process that runs one."""

from __future__ import annotations

import ctypes
import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue

from jobistemer.runtime.repeat import start_thread
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.attempts.in_flight import RunningAttempts
from jobistemer.worker.execute.execute import outcome_of_error, run
from jobistemer.worker.execute.forks import watch_forks
from jobistemer.worker.slots.isolation import Isolation

ReportEnd = Callable[[Attempt], None]

log = logging.getLogger("jobistemer.worker")


class Stopped(BaseException):
    """Raised in the thread of a handler whose attempt was stopped: `except Exception` does not swallow it."""


def raise_stopped(ident: int) -> None:
    """Raise Stopped in a thread as soon as it executes Python again."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(Stopped))


class ThreadInterrupt:
    """The interruption of the thread that creates this object, from another thread.

    Stopping an attempt and its end race: the thread may have left the handler when the exception is raised. A thread
    whose attempt was stopped must therefore call `wait` before it ends or runs anything else. Otherwise the exception
    hits what the thread runs next, or another thread that the system has given the same identifier.
    """

    def __init__(self) -> None:
        self.ident = threading.get_ident()
        self._was_raised = threading.Event()

    def stop(self) -> None:
        """Raise Stopped in the thread."""
        raise_stopped(self.ident)
        self._was_raised.set()

    def wait(self) -> None:
        """Wait until `stop` has been called; called by the thread itself."""
        self._was_raised.wait()


class ThreadSlots:
    """A fixed number of threads. A thread whose attempt was stopped is replaced at once, whatever it goes on doing."""

    def __init__(self, count: int, attempts: RunningAttempts, report: ReportEnd, isolation: Isolation | None) -> None:
        self._attempts = attempts
        self._report = report
        self._isolation = isolation
        self._waiting: SimpleQueue[Attempt | None] = SimpleQueue()
        self._count = count
        # Threads whose attempts were stopped and that have not ended yet, and since when (monotonic).
        self._stopped_threads: dict[int, float] = {}
        for _ in range(count):
            self._add_thread()

    def count_leaked(self, before: float) -> int:
        """Return how many threads were stopped before a moment (monotonic) and still run their handlers."""
        return sum(since < before for since in list(self._stopped_threads.values()))

    def put(self, attempts: Iterable[Attempt]) -> None:
        """Queue attempts."""
        for attempt in attempts:
            self._waiting.put(attempt)

    def take_unstarted(self) -> list[Attempt]:
        """Remove the attempts that have not started from the queue, and return them."""
        found: list[Attempt] = []
        while True:
            try:
                attempt = self._waiting.get_nowait()
            except Empty:
                return found
            if attempt is not None:
                found.append(attempt)

    def end(self) -> None:
        """End the threads that are idle."""
        for _ in range(self._count):
            self._waiting.put(None)

    def _add_thread(self) -> None:
        start_thread(self._work, "slot")

    def _try_add_thread(self) -> bool:
        try:
            self._add_thread()
        except RuntimeError as error:
            # The system has no more threads at this moment.
            log.error("a slot is free only when the handler that was stopped in it has ended: %s", error)
            return False
        return True

    def _work(self) -> None:
        with watch_forks():
            while self._run_attempts():
                pass

    def _run_attempts(self) -> bool:
        """Run attempts until one of them was stopped. Returns whether this thread goes on: it could not be replaced."""
        keeps_slot = False

        def stop() -> None:
            nonlocal keeps_slot
            # Before the exception: afterwards this thread may already have ended, and would count as leaked for ever.
            self._stopped_threads[interrupt.ident] = time.monotonic()
            try:
                keeps_slot = not self._try_add_thread()
            finally:
                # The thread waits for it, whatever has gone wrong.
                interrupt.stop()

        interrupt, isolation = ThreadInterrupt(), self._isolation
        waiting, attempts, report = self._waiting, self._attempts, self._report
        with suppress(Stopped):
            while (attempt := waiting.get()) is not None:
                if attempt.needs_process and isolation is not None:
                    isolation.run(attempt, report)
                    continue
                try:
                    must_report = run(attempt, attempts, stop)
                except Exception as error:
                    # A bug in Jobistemer must cost neither the slot nor the attempt.
                    log.exception("slot: unexpected error")
                    must_report = attempts.end(attempt, outcome_of_error(error))
                if must_report:
                    report(attempt)
                else:
                    # The watchdog has reported the attempt, and another thread has this slot.
                    interrupt.wait()
                    break
        self._stopped_threads.pop(interrupt.ident, None)
        return keeps_slot
