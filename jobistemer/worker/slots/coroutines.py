"""Slots on an event loop: a fixed number of asyncio tasks, each of which runs one coroutine after the other."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context

from jobistemer.runtime.repeat import start_thread
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.attempts.in_flight import RunningAttempts
from jobistemer.worker.execute.execute import outcome_of_error, run_async
from jobistemer.worker.slots.isolation import Isolation

RUNS_PER_YIELD = 64
"""After so many coroutines in a row the slot yields: coroutines that never wait would keep the loop from all else."""

log = logging.getLogger("jobistemer.worker")


class CoroutineSlots:
    """The slots of one loop. Their queue of waiting attempts is shared with the loop that replaces a blocked one."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        waiting: deque[Attempt],
        attempts: RunningAttempts,
        report: Callable[[Attempt], None],
        isolation: Isolation | None,
    ) -> None:
        self._loop = loop
        self._waiting = waiting
        self._attempts = attempts
        self._report = report
        self._isolation = isolation
        self._idle: deque[asyncio.Future[None]] = deque()
        # The stop function of each slot; the tasks of stopped attempts whose code has not ended, and since when.
        self._slots: dict[asyncio.Task[None], Callable[[], None]] = {}
        self._retired: dict[asyncio.Task[None], float] = {}
        self._ended = False

    def add(self) -> None:
        """Add a slot. Only the loop's own thread may call this."""
        task = self._loop.create_task(self._work())
        self._slots[task] = lambda: self._stop(task)
        task.add_done_callback(self._on_end)

    def wake(self, count: int) -> None:
        """Wake as many idle slots as attempts were queued; called from other threads."""
        # A slot lists itself as idle before it looks at the queue for the last time, so none misses an attempt.
        if self._idle:
            self._loop.call_soon_threadsafe(self._wake, count)

    def retire(self) -> None:
        """Take no more attempts: the queue belongs to another loop from now on."""
        self._waiting = deque()

    def end(self) -> None:
        """End the slots that are idle. The others end with the process."""
        self._ended = True
        for wakeup in self._idle:
            wakeup.cancel()

    def count_leaked(self, before: float) -> int:
        """Return how many coroutines were stopped before a moment (monotonic) and have not ended."""
        return sum(since < before for since in list(self._retired.values()))

    def select_own(self, running: list[Attempt]) -> list[Attempt]:
        """Return those of the running attempts that run on this loop."""
        mine = set(self._slots.values())
        return [attempt for attempt in running if attempt.stop in mine]

    def stop_of_current(self) -> Callable[[], None] | None:
        """Return the stop function of the slot that the loop executes at this moment.

        Returns None when the loop executes a callback, or a task that a handler has started.
        """
        task = asyncio.current_task(self._loop)
        return self._slots.get(task) if task is not None else None

    def _on_end(self, task: asyncio.Task[None]) -> None:
        self._retired.pop(task, None)
        if self._slots.pop(task, None) is not None and not self._ended:
            # A handler may cancel the task that it runs in. Its slot is replaced, or the worker would lose it.
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
        assert task is not None  # noqa: S101 - a coroutine of this loop runs in a task
        stop, clean_context = self._slots[task], copy_context()
        runs_since_yield = 0
        while True:
            attempt = await self._next_attempt()
            if attempt.needs_process and self._isolation is not None:
                await self._run_in_process(attempt, self._isolation)
                continue
            try:
                must_report = await run_async(attempt, self._attempts, stop)
            except BaseException as error:
                # A bug in Jobistemer must cost neither the slot nor the attempt; neither must a handler that has
                # cancelled the task that it ran in, and returned before that was noticed.
                must_report = self._attempts.end(attempt, outcome_of_error(error))
                if must_report and not isinstance(error, asyncio.CancelledError):
                    log.exception("slot: unexpected error")
            if not must_report:
                return
            self._report(attempt)
            if task.cancelling() or _context_changed(clean_context):
                # The handler has ignored a cancellation, or has set a context variable. The next attempt must see
                # neither, so it runs in a new task.
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
                    # Another slot has taken the attempt that this one was woken for, and `end` has only ended the
                    # slots that were idle at that moment.
                    raise asyncio.CancelledError from None
                wakeup = self._loop.create_future()
            # The order counts: an attempt that is queued after the look above finds this slot in the list of idle ones,
            # and one that was queued before that is seen by the look below.
            self._idle.append(wakeup)
            if self._waiting:
                wakeup.cancel()
            else:
                await wakeup

    async def _run_in_process(self, attempt: Attempt, isolation: Isolation) -> None:
        # On a thread: this slot waits without blocking the loop.
        ended = self._loop.create_future()

        def wait() -> None:
            isolation.run(attempt, self._report)
            self._loop.call_soon_threadsafe(ended.set_result, None)

        try:
            start_thread(wait, "process slot")
        except RuntimeError as error:
            # The system has no more threads at this moment.
            self._attempts.end_unstarted(attempt, outcome_of_error(error))
            self._report(attempt)
        else:
            await ended

    def _stop(self, task: asyncio.Task[None]) -> None:
        self._loop.call_soon_threadsafe(self._replace, task)

    def _replace(self, task: asyncio.Task[None]) -> None:
        # The attempt is over. Its slot is given up too, because a coroutine may swallow the cancellation and go on.
        if self._slots.pop(task, None) is not None:
            self._retired[task] = time.monotonic()
            self.add()
            task.cancel()


def _context_changed(clean_context: Context) -> bool:
    """Return whether this task has set context variables. Without any change the comparison costs next to nothing."""
    try:
        return copy_context() != clean_context
    except Exception:  # noqa: BLE001 - the comparison of values is user code
        return True
