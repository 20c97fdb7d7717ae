"""Slots: where handlers run. Threads for plain functions, an event loop for coroutines, processes beside the worker.

A slot survives whatever a handler does, or is replaced. All kinds together run at most as many handlers at a time as
the worker may: a process is driven by the slot of a thread, and threads and loop share where an app has both.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping

from jobistemer.core.errors import Misconfigured
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.jobs.options import PROCESS
from jobistemer.core.settings import WorkerSettings
from jobistemer.runtime.repeat import start_thread
from jobistemer.worker.attempts.attempt import Flight, Flights
from jobistemer.worker.execute.default_reducer import GATHER
from jobistemer.worker.process.pool import NotStarted, Pool
from jobistemer.worker.slots.blocked_loops import LoopSlots
from jobistemer.worker.slots.concurrency_limit import Executor, Sharing
from jobistemer.worker.slots.threads import ThreadSlots

LEAK_S = 5.0
"""What was stopped may take so long to end before it counts as leaked."""

log = logging.getLogger("jobistemer.worker")


def on_loop(handler: Handler) -> bool:
    """Whether a handler runs on the event loop."""
    return handler.is_coroutine and handler.executor != PROCESS


def check_processes(handlers: Mapping[str, Handler], app: str) -> None:
    """Raise Misconfigured when a handler is to run in a process and nobody has said what that has to import."""
    apart = next((handler.name for handler in handlers.values() if handler.executor == PROCESS), None)
    if apart is not None and not app:
        raise Misconfigured(
            f"task {apart!r} has executor='process', and a process beside the worker must import it: "
            "start the worker as `jobistemer-worker MODULE:APP`, or give it WorkerSettings(app='module:app')"
        )


class Slots:
    """The slots of one worker."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        settings: WorkerSettings,
        flights: Flights,
        report: Callable[[Flight], None],
        shards: int = 1,
    ) -> None:
        # The gatherer is ours and short: it runs in a thread, and makes no app one of both kinds.
        kinds = {on_loop(handler) for handler in handlers.values() if handler is not GATHER}
        count = settings.concurrency
        self._pool = Pool(settings, shards) if settings.app else None
        self._sharing: Sharing | None = None

        def report_both(flight: Flight) -> None:
            report(flight)
            sharing.ended()

        # With both kinds, the one that is told of an end is told of the other's ends as well.
        told = report_both if len(kinds) == 2 else report
        self._threads = (
            ThreadSlots(count, flights, told, self._pool) if False in kinds or GATHER in handlers.values() else None
        )
        self._loops = LoopSlots(count, flights, told, self._pool, settings.loop_block_s) if True in kinds else None
        executors: list[Executor] = [each for each in (self._threads, self._loops) if each is not None]
        self._executors = executors
        self.report = told
        if len(kinds) == 2:
            sharing = self._sharing = Sharing(count, lambda flight: executors[on_loop(flight.handler)], executors)
        if self._pool and any(handler.executor == PROCESS for handler in handlers.values()):
            start_thread(self._warm_up, "warm up")

    def put(self, flights: Iterable[Flight]) -> None:
        """Queue work."""
        if self._sharing or len(self._executors) == 1:
            (self._sharing or self._executors[0]).put(flights)
            return
        for executor, coroutines in zip(self._executors, (False, True), strict=True):
            if mine := [flight for flight in flights if on_loop(flight.handler) is coroutines]:
                executor.put(mine)

    def take_back(self) -> list[Flight]:
        """What has not been started; it will not be."""
        lines = [self._sharing] if self._sharing else self._executors
        return [flight for line in lines for flight in line.take_back()]

    def withdraw(self, runs: Collection[str]) -> list[Flight]:
        """Take those of some runs out that have not been started; the others keep their order."""
        waiting = self.take_back()
        self.put([flight for flight in waiting if flight.delivery.message.run not in runs])
        return [flight for flight in waiting if flight.delivery.message.run in runs]

    def look(self, running: list[Flight]) -> int:
        """Tend the event loop; how many attempts another one holds up, whose places others may have meanwhile."""
        held_up = self._loops.look(running) if self._loops else 0
        if self._sharing:
            self._sharing.held_up = held_up
        return held_up

    def leaked(self) -> int:
        """How many threads, loops and coroutines were stopped a while ago and have not ended."""
        before = time.monotonic() - LEAK_S
        return sum(each.leaked(before) for each in (self._threads, self._loops) if each is not None)

    def end(self) -> None:
        """Let slots that are free end."""
        for each in (self._threads, self._loops, self._pool):
            if each is not None:
                each.end()

    def _warm_up(self) -> None:
        try:
            assert self._pool is not None  # noqa: S101 - the caller has looked
            self._pool.warm_up()
        except NotStarted as error:
            log.error("no process could be started beside the worker: %s", error)
