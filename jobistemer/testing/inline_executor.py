"""The executor of a test: handlers run in the thread of the test, where debuggers, transactions and patches work.

A coroutine runs on the loop of an asynchronous test, else on a loop of the executor. Attempts that time out are stopped
as in a worker: by an exception in the thread, or by cancelling the asyncio task.
"""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from typing import Any

from jobistemer.core.handlers.handler import Handler
from jobistemer.core.states import AttemptState
from jobistemer.runtime.repeat import start_thread
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.attempts.in_flight import RunningAttempts
from jobistemer.worker.attempts.watchdog import Watchdog
from jobistemer.worker.execute.execute import run, run_async
from jobistemer.worker.slots.threads import Stopped, ThreadInterrupt


class InlineExecutor:
    """Runs one attempt after the other. exception: the exception of the handler of the last one, or None."""

    def __init__(self, attempts: RunningAttempts, report: Callable[[Attempt], None]) -> None:
        self._attempts = attempts
        self._report = report
        self._watchdog = Watchdog(attempts, report)
        self._watchdog_thread: threading.Thread | None = None
        self._closed = threading.Event()
        self._runner: asyncio.Runner | None = None
        self.exception: BaseException | None = None

    def run(self, attempt: Attempt) -> None:
        """Run an attempt in this thread and report its end."""
        self._begin()
        if attempt.handler.is_coroutine:
            self._runner = self._runner or asyncio.Runner()
            self._runner.run(self._run_coroutine(attempt), context=copy_context())
        else:
            self._run_plain(attempt)
        self._end(attempt)

    def run_coroutine(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Execute a coroutine on the loop on which coroutines of handlers run."""
        self._runner = self._runner or asyncio.Runner()
        self._runner.run(coroutine)

    async def run_async(self, attempt: Attempt) -> None:
        """Run an attempt from the running loop and report its end. A plain function runs in a thread."""
        self._begin()
        if attempt.handler.is_coroutine:
            await self._run_coroutine(attempt)
        else:
            await asyncio.to_thread(self._run_plain, attempt)
        self._end(attempt)

    def capture_exceptions(self, handler: Handler) -> Handler:
        """Return a copy of a handler whose exceptions are kept in `exception`: records hold only their text."""
        result = copy.copy(handler)
        function = handler.function

        def call(**arguments: Any) -> Any:
            try:
                return function(**arguments)
            except BaseException as error:
                self._keep_exception(error)
                raise

        async def call_coroutine(**arguments: Any) -> Any:
            try:
                return await function(**arguments)
            except BaseException as error:
                self._keep_exception(error)
                raise

        result.function = call_coroutine if handler.is_coroutine else call
        return result

    def close(self) -> None:
        """End the watchdog and the event loop."""
        self._closed.set()
        if self._watchdog_thread is not None:
            self._watchdog_thread.join()
        if self._runner is not None:
            self._runner.close()

    def _begin(self) -> None:
        self.exception = None
        if self._watchdog_thread is None:
            self._watchdog_thread = start_thread(self._run_watchdog, "watchdog of the test")

    def _end(self, attempt: Attempt) -> None:
        if attempt.outcome is not None and attempt.outcome.state in (AttemptState.SUCCEEDED, AttemptState.SUSPENDED):
            # The exception is that of another run: this handler has waited for it, and it ran meanwhile. Or it is what
            # ends a suspended attempt, and no failure.
            self.exception = None

    def _run_watchdog(self) -> None:
        while not self._closed.wait(self._watchdog.step()):
            pass

    def _keep_exception(self, error: BaseException) -> None:
        # Without our own frame at the top: the traceback that a test shows begins in the handler.
        trace = error.__traceback__
        self.exception = error.with_traceback(trace.tb_next if trace is not None else None)

    def _run_plain(self, attempt: Attempt) -> None:
        interrupt = ThreadInterrupt()
        with suppress(Stopped):
            if run(attempt, self._attempts, interrupt.stop):
                self._report(attempt)
            else:
                # The watchdog has ended and reported the attempt, and may raise Stopped in this thread only now. Wait
                # for it here: one that comes later would hit the test itself. See also `worker.slots.threads`.
                interrupt.wait()

    async def _run_coroutine(self, attempt: Attempt) -> None:
        loop = asyncio.get_running_loop()
        # A list, since `stop` is needed to make the task that it cancels.
        tasks: list[asyncio.Task[bool]] = []

        def stop() -> None:
            loop.call_soon_threadsafe(tasks[0].cancel)

        tasks.append(loop.create_task(run_async(attempt, self._attempts, stop)))
        if await tasks[0]:
            self._report(attempt)
