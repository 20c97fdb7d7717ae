"""Slots: where handlers run. Threads for plain functions, an event loop for coroutines, processes that can be killed.

A slot survives whatever a handler does, or is replaced. All kinds together run at most `concurrency` handlers at a
time: a handler process occupies a thread or the task of a loop, and where an app has handlers of both kinds, threads
and loop share the limit.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from jobistemer.core.errors import Misconfigured
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.handlers.worker_hooks import WorkerHooks
from jobistemer.core.jobs.options import PROCESS
from jobistemer.core.settings import WorkerSettings
from jobistemer.runtime.repeat import start_thread
from jobistemer.store.database import Database
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.attempts.in_flight import RunningAttempts
from jobistemer.worker.execute.default_reducer import DEFAULT_REDUCER
from jobistemer.worker.process.failures import ProcessNotStarted
from jobistemer.worker.process.pool import ProcessPool
from jobistemer.worker.slots.concurrency_limit import ConcurrencyLimit, Executor, WaitingAttempts
from jobistemer.worker.slots.isolation import Isolation
from jobistemer.worker.slots.threads import ThreadSlots

if TYPE_CHECKING:
    from jobistemer.worker.slots.blocked_loops import LoopSlots

LEAK_S = 5.0
"""Seconds that stopped code may take to end before it counts as leaked."""
NO_HOOKS = WorkerHooks()

log = logging.getLogger("jobistemer.worker")


def runs_on_loop(handler: Handler) -> bool:
    """Return whether a handler runs on the event loop."""
    return handler.is_coroutine and handler.executor != PROCESS


def check_processes(handlers: Mapping[str, Handler], app: str) -> None:
    """Raise Misconfigured when a handler runs in a process, and the worker does not know what a process imports."""
    needs_process = next((handler.name for handler in handlers.values() if handler.executor == PROCESS), None)
    if needs_process is not None and not app:
        raise Misconfigured(
            f"task {needs_process!r} has executor='process', and a process beside the worker must import it: "
            "start the worker as `jobistemer-worker MODULE:APP`, or give it WorkerSettings(app='module:app')"
        )


class Slots:
    """The slots of one worker."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        settings: WorkerSettings,
        attempts: RunningAttempts,
        report: Callable[[Attempt], None],
        shards: int = 1,
        hooks: WorkerHooks = NO_HOOKS,
    ) -> None:
        # The default reducer is short and runs in a thread. It is left out here, since a ConcurrencyLimit in front of
        # an app of coroutines would cost each run a lock.
        kinds = {runs_on_loop(handler) for handler in handlers.values() if handler is not DEFAULT_REDUCER}
        count = settings.concurrency
        self._pool = ProcessPool(settings, shards) if settings.app else None
        isolation = self._isolation = _create_isolation(handlers, settings, attempts, self._pool)
        self.waiting_suspects: Sequence[Attempt] = isolation.waiting if isolation else ()
        """The runs that may have killed a worker and wait for a process."""
        self._limit: ConcurrencyLimit | None = None

        def report_to_limit(attempt: Attempt) -> None:
            report(attempt)
            limit.release()

        # With both kinds an end on either side frees a place for the other side.
        report_end = report_to_limit if len(kinds) == 2 else report
        self._threads = ThreadSlots(count, attempts, report_end, isolation) if _needs_threads(handlers) else None
        self._loops = (
            _create_loops(count, attempts, report_end, isolation, settings.loop_block_s, hooks)
            if True in kinds
            else None
        )
        executors: list[Executor] = [each for each in (self._threads, self._loops) if each is not None]
        self._executors = executors
        self._sources: list[WaitingAttempts] = [*executors, *([isolation] if isolation else [])]
        self.report = report_end
        if len(kinds) == 2:
            limit = self._limit = ConcurrencyLimit(
                count, lambda attempt: executors[runs_on_loop(attempt.handler)], self._sources
            )
        first = self._limit or (executors[0] if len(executors) == 1 else None)
        self.put: Callable[[Iterable[Attempt]], None] = first.put if first is not None else self._put_by_kind
        """Queue attempts. Chosen once, since no app has handlers of a kind that it had not when the worker started."""
        if self._pool and _needs_processes(handlers):
            start_thread(partial(_warm_up, self._pool), "process warm-up")

    def find_loop(self) -> asyncio.AbstractEventLoop | None:
        """Return the event loop on which handlers run at this moment, None when all of them are plain functions."""
        return self._loops.loop if self._loops else None

    def _put_by_kind(self, attempts: Iterable[Attempt]) -> None:
        for executor, coroutines in zip(self._executors, (False, True), strict=True):
            if mine := [attempt for attempt in attempts if runs_on_loop(attempt.handler) is coroutines]:
                executor.put(mine)

    def take_unstarted(self) -> list[Attempt]:
        """Remove the attempts that have not started from the queues, and return them."""
        sources = [self._limit] if self._limit else self._sources
        return [attempt for source in sources for attempt in source.take_unstarted()]

    def withdraw(self, runs: Collection[str]) -> list[Attempt]:
        """Remove the attempts of some runs that have not started, and return them. The others keep their order."""
        waiting = self.take_unstarted()
        self.put([attempt for attempt in waiting if attempt.delivery.message.run not in runs])
        return [attempt for attempt in waiting if attempt.delivery.message.run in runs]

    def take_waiting(self, database: Database, allowed: int, before: float) -> list[Attempt]:
        """Remove the attempts of one shard that were fetched before a moment (monotonic) and have not started.

        The first `allowed` attempts of all that wait stay. The others keep their order.
        """
        waiting = self.take_unstarted()
        late = [each for each in waiting[allowed:] if each.database is database and each.started < before]
        taken = set(late)
        self.put([attempt for attempt in waiting if attempt not in taken] if taken else waiting)
        return late

    def take_late_suspects(self, database: Database, before: float) -> list[Attempt]:
        """Remove the suspects of one shard that have waited for a process since before a moment (monotonic)."""
        late = self._isolation.take_late(database, before) if self._isolation else []
        if self._limit:
            for _ in late:
                self._limit.release()
        return late

    def expect_suspects(self) -> None:
        """Prepare for runs of a worker that is silent: they are executed in a process, which takes time to start."""
        if self._isolation:
            self._isolation.expect_suspects()

    def check(self, running: list[Attempt]) -> int:
        """Check the event loop. Returns how many attempts wait without using a slot; as many others may run.

        These are the attempts that a blocked event loop holds up, and the suspects that wait for a process.
        """
        blocked = self._loops.check(running) if self._loops else 0
        blocked += len(self.waiting_suspects)
        if self._limit:
            self._limit.blocked = blocked
        return blocked

    def count_leaked(self) -> int:
        """Return how many threads, loops and coroutines were stopped LEAK_S seconds ago and have not ended."""
        before = time.monotonic() - LEAK_S
        return sum(each.count_leaked(before) for each in (self._threads, self._loops) if each is not None)

    def end(self) -> None:
        """End the slots that are idle."""
        for each in (self._threads, self._loops, self._pool):
            if each is not None:
                each.end()


def _create_loops(*given: Any) -> LoopSlots:
    from jobistemer.worker.slots.blocked_loops import LoopSlots  # noqa: PLC0415 - an app without coroutines has none

    return LoopSlots(*given)


def _needs_threads(handlers: Mapping[str, Handler]) -> bool:
    return any(handler is DEFAULT_REDUCER or not runs_on_loop(handler) for handler in handlers.values())


def _needs_processes(handlers: Mapping[str, Handler]) -> bool:
    return any(handler.executor == PROCESS for handler in handlers.values())


def _create_isolation(
    handlers: Mapping[str, Handler], settings: WorkerSettings, attempts: RunningAttempts, pool: ProcessPool | None
) -> Isolation | None:
    keeps_processes = _needs_processes(handlers)
    return Isolation(pool, attempts, settings.max_suspects, keeps_processes=keeps_processes) if pool else None


def _warm_up(pool: ProcessPool) -> None:
    try:
        pool.warm_up()
    except ProcessNotStarted as error:
        log.error("no process could be started beside the worker: %s", error)
