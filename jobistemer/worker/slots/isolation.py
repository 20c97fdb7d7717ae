"""Isolation: runs that may have killed a worker are executed in processes of their own, a few at a time."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable

from jobistemer.core.jobs.options import PROCESS
from jobistemer.runtime.repeat import run_apart, start_thread
from jobistemer.store.database import Database
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.attempts.in_flight import RunningAttempts, end_prepared
from jobistemer.worker.execute.execute import outcome_of_error
from jobistemer.worker.process.failures import START_S, ProcessNotStarted
from jobistemer.worker.process.pool import ProcessPool

SPARE_S = 15.0
"""Seconds that a process is kept for suspects after a worker was last seen to be silent."""

log = logging.getLogger("jobistemer.worker")


def is_suspect(attempt: Attempt) -> bool:
    """Return whether a run is in a process only because a worker died while it ran."""
    return attempt.delivery.crashes > 0 and attempt.handler.executor != PROCESS


class Isolation:
    """The attempts of one worker that run in processes.

    Handlers with `executor="process"` always begin at once. Suspects begin while fewer than `places` of them run; the
    others wait here and occupy no slot. The thread whose suspect has ended runs the next one: of those that wait the
    one with the most crashes, since it is the most likely to have killed its worker. keeps_processes: idle processes
    are kept for later runs; without that they end as soon as no suspect is left. While another worker is silent, one
    process is started ahead: its runs begin at once when they are taken over.
    """

    def __init__(self, pool: ProcessPool, attempts: RunningAttempts, places: int, *, keeps_processes: bool) -> None:
        self._pool = pool
        self._attempts = attempts
        self._free = self._places = places
        self._keeps_processes = keeps_processes
        self._lock = threading.Lock()
        self.waiting: list[Attempt] = []
        """The suspects that wait for a process; changed by the methods of this class alone."""
        self._spare_until = -math.inf
        self._keeps_spare = False
        # Whether no process is being started ahead.
        self._spare_started = threading.Event()
        self._spare_started.set()

    def run(self, attempt: Attempt, report: Callable[[Attempt], None]) -> None:
        """Run an attempt in a process and report it, in the caller's thread; a suspect may have to wait instead."""
        if not is_suspect(attempt):
            self._attempts.prepare(attempt)
            self._run_one(attempt, report)
        elif self._enter(attempt):
            # A second start beside the one that is under way would make both slower. One that hangs holds up nobody.
            self._spare_started.wait(START_S)
            following: Attempt | None = attempt
            while following is not None:
                self._run_one(following, report)
                following = self._next()

    def expect_suspects(self) -> None:
        """Start a process, unless one is there, since another worker is silent and may be dead. Never waits."""
        with self._lock:
            self._spare_until = time.monotonic() + SPARE_S
            if self._keeps_processes or self._keeps_spare:
                return
            self._keeps_spare = True
            self._spare_started.clear()
        try:
            start_thread(self._keep_spare, "spare process")
        except RuntimeError as error:
            # The system has no more threads at this moment. The next look at the workers tries again.
            log.error("no thread could be started for a spare process: %s", error)
            with self._lock:
                self._keeps_spare = False
                self._spare_started.set()

    def _keep_spare(self) -> None:
        try:
            self._pool.warm_up()
        except ProcessNotStarted as error:
            log.error("no process could be started for runs of a silent worker: %s", error)
        except Exception:
            # A bug in Jobistemer must not end this thread: nobody else ends the processes.
            log.exception("spare process: unexpected error")
        finally:
            self._spare_started.set()
        while left := self._stop_keeping():
            time.sleep(left)
        with self._lock:
            is_over = self._free == self._places and not self._keeps_spare
        if is_over:
            self._pool.end()

    def _stop_keeping(self) -> float:
        """Keep no spare process any longer, if its time is over. Returns the seconds that are left."""
        # One step: another silent worker makes the time longer, and relies on this thread while `_keeps_spare` is set.
        with self._lock:
            left = max(0.0, self._spare_until - time.monotonic())
            self._keeps_spare = left > 0
        return left

    def take_unstarted(self) -> list[Attempt]:
        """Remove the suspects that wait, and return them."""
        with self._lock:
            found = self.waiting[:]
            self.waiting.clear()
        return found

    def take_late(self, database: Database, before: float) -> list[Attempt]:
        """Remove the suspects of one shard that were fetched before a moment (monotonic) and still wait."""
        with self._lock:
            found = [each for each in self.waiting if each.database is database and each.started < before]
            self.waiting[:] = [each for each in self.waiting if each not in found]
        return found

    def _run_one(self, attempt: Attempt, report: Callable[[Attempt], None]) -> None:
        try:
            from jobistemer.worker.process.run_in_process import run_in_process  # noqa: PLC0415 - see `process.pool`

            must_report = run_in_process(attempt, self._attempts, self._pool)
        except Exception as error:
            # A bug in Jobistemer must cost neither the place nor the attempt.
            log.exception("process: unexpected error")
            outcome = outcome_of_error(error)
            must_report = self._attempts.end(attempt, outcome) or end_prepared(self._attempts, attempt, outcome)
        if must_report:
            report(attempt)

    def _enter(self, attempt: Attempt) -> bool:
        with self._lock:
            if not self._free:
                self.waiting.append(attempt)
                return False
            self._free -= 1
        self._attempts.prepare(attempt)
        return True

    def _next(self) -> Attempt | None:
        with self._lock:
            if self.waiting:
                first = max(self.waiting, key=lambda each: each.delivery.crashes)
                self.waiting.remove(first)
                # Under the lock: whoever takes all that have not begun finds it in one place or the other.
                self._attempts.prepare(first)
                return first
            self._free += 1
            is_over = self._free == self._places and not self._keeps_spare
        if is_over and not self._keeps_processes:
            # On a thread: a slot must not wait for the end of processes.
            run_apart(self._pool.end, "process end")
        return None
