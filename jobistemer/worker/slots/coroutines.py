"""Slots on an event loop: a fixed number of tasks, each of which runs one coroutine after the other."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context

from jobistemer.worker.attempts.attempt import Attempt, RunningAttempts
from jobistemer.worker.execute.execute import run_async
from jobistemer.worker.execute.outcomes import outcome_of_error
from jobistemer.worker.process.pool import ProcessPool
from jobistemer.worker.process.run_in_process import run_in_process_async

RUNS_PER_YIELD = 64
"""After so many coroutines that never waited, the loop gets a turn for what else it has to do."""

log = logging.getLogger("jobistemer.worker")


class CoroutineSlots:
    """Takes its work from a line that it shares with its successor on another loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        waiting: deque[Attempt],
        attempts: RunningAttempts,
        report: Callable[[Attempt], None],
        pool: ProcessPool | None,
    ) -> None:
        self._loop = loop
        self._waiting = waiting
        self._attempts = attempts
        self._report = report
        self._pool = pool
        self._idle: deque[asyncio.Future[None]] = deque()
        # Slots with what stops them; the tasks of stopped attempts whose code has not ended, and since when.
        self._slots: dict[asyncio.Task[None], Callable[[], None]] = {}
        self._retired: dict[asyncio.Task[None], float] = {}
        self._ended = False

    def add(self) -> None:
        """Add a slot; on the loop's own thread."""
        task = self._loop.create_task(self._work())
        self._slots[task] = lambda: self._stop(task)
        task.add_done_callback(self._on_end)

    def wake(self, count: int) -> None:
        """There is work in the line; called from other threads."""
        # A slot lists itself as idle before it looks at the line for the last time, so none is missed here.
        if self._idle:
            self._loop.call_soon_threadsafe(self._wake, count)

    def retire(self) -> None:
        """Take no more work: the line is another's from now on."""
        self._waiting = deque()

    def end(self) -> None:
        """Let slots that are free end; what others run is nobody's any more."""
        self._ended = True
        for wakeup in self._idle:
            wakeup.cancel()

    def count_leaked(self, before: float) -> int:
        """How many coroutines were stopped before that moment and have not ended."""
        return sum(since < before for since in list(self._retired.values()))

    def select_own(self, running: list[Attempt]) -> list[Attempt]:
        """Those of the running attempts that run here."""
        mine = set(self._slots.values())
        return [attempt for attempt in running if attempt.stop in mine]

    def stop_of_current(self) -> Callable[[], None] | None:
        """What stops the slot that is executing right now; None when it is a callback, or a task of a handler's own."""
        task = asyncio.current_task(self._loop)
        return self._slots.get(task) if task is not None else None

    def _on_end(self, task: asyncio.Task[None]) -> None:
        self._retired.pop(task, None)
        if self._slots.pop(task, None) is not None and not self._ended:
            # A handler may cancel the task that it runs in; the slot does not go with it.
            self.add()

    def _wake(self, count: int) -> None:
        for _ in range(count):
            while self._idle:
                wakeup = self._idle.popleft()
                if not wakeup.done():
                    wakeup.set_result(None)
                    break

    async def _work(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this is a task
        stop, clean_context = self._slots[task], copy_context()
        runs_since_yield = 0
        while True:
            attempt = await self._next_attempt()
            if attempt.needs_process and self._pool is not None:
                await run_in_process_async(attempt, self._attempts, self._pool, self._report)
                continue
            try:
                must_report = await run_async(attempt, self._attempts, stop)
            except Exception as error:
                # A fault of ours. Neither the slot nor what it ran may be lost over it.
                log.exception("slot: unexpected error")
                must_report = self._attempts.end(attempt, outcome_of_error(error))
            if not must_report:
                return
            self._report(attempt)
            if task.cancelling() or _context_changed(clean_context):
                # Somebody cancelled it and the handler took no notice, or a handler has set a context variable: what
                # comes next starts with a clean slate, in a task of its own.
                return
            runs_since_yield = (runs_since_yield + 1) % RUNS_PER_YIELD
            if not runs_since_yield:
                await asyncio.sleep(0)

    async def _next_attempt(self) -> Attempt:
        while True:
            try:
                return self._waiting.popleft()
            except IndexError:
                if self._ended:
                    # Woken for work that another slot has taken, after those that were idle were told.
                    raise asyncio.CancelledError from None
                wakeup = self._loop.create_future()
            self._idle.append(wakeup)
            if self._waiting:
                wakeup.cancel()
            else:
                await wakeup

    def _stop(self, task: asyncio.Task[None]) -> None:
        self._loop.call_soon_threadsafe(self._replace, task)

    def _replace(self, task: asyncio.Task[None]) -> None:
        # The attempt is over; its slot goes with it, because a coroutine may swallow its cancellation.
        if self._slots.pop(task, None) is not None:
            self._retired[task] = time.monotonic()
            self.add()
            task.cancel()


def _context_changed(clean_context: Context) -> bool:
    """Whether the context of this task is another one; where nobody has set anything, both are one object inside."""
    try:
        return copy_context() != clean_context
    except Exception:  # noqa: BLE001 - values are compared, and that is user code
        return True
