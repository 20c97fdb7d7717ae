"""Where handlers run in a test: in the test's own thread, so that debuggers, databases and patches are at hand.

A coroutine runs on the loop of an asynchronous test, else on a loop of the tester's own. What is stopped because its
time is over is stopped as in a worker: by an exception in its thread, or by the cancellation of its task.
"""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any

from jobistemer.core.handlers.handler import Handler
from jobistemer.core.states import AttemptState
from jobistemer.runtime.repeat import start_thread
from jobistemer.worker.attempts.attempt import Attempt, RunningAttempts
from jobistemer.worker.attempts.watchdog import Watchdog
from jobistemer.worker.execute.execute import run, run_async
from jobistemer.worker.slots.threads import Stopped, ThreadInterrupt


class InlineExecutor:
    """Runs one attempt after the other; `exception` is what the handler of the last one has raised."""

    def __init__(self, attempts: RunningAttempts, report: Callable[[Attempt], None]) -> None:
        self._attempts = attempts
        self._report = report
        self._watchdog = Watchdog(attempts, report)
        self._watchdog_thread: threading.Thread | None = None
        self._closed = threading.Event()
        self._runner: asyncio.Runner | None = None
        self.exception: BaseException | None = None

    def run(self, attempt: Attempt) -> None:
        """Run an attempt here and now, and report how it ended."""
        self._begin()
        if attempt.handler.is_coroutine:
            self._runner = self._runner or asyncio.Runner()
            self._runner.run(self._run_coroutine(attempt), context=copy_context())
        else:
            self._run_plain(attempt)
        self._end(attempt)

    async def run_async(self, attempt: Attempt) -> None:
        """The same on the running loop; plain functions in a thread, as a loop is no place for them."""
        self._begin()
        if attempt.handler.is_coroutine:
            await self._run_coroutine(attempt)
        else:
            await asyncio.to_thread(self._run_plain, attempt)
        self._end(attempt)

    def capture_exceptions(self, handler: Handler) -> Handler:
        """The handler, but what it raises is kept as it is: records keep the text of it."""
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
        """End what was started for the test."""
        self._closed.set()
        if self._watchdog_thread is not None:
            self._watchdog_thread.join()
        if self._runner is not None:
            self._runner.close()

    def _begin(self) -> None:
        self.exception = None
        if self._watchdog_thread is None:
            self._watchdog_thread = start_thread(self._run_watchdog, "watch of the test")

    def _end(self, attempt: Attempt) -> None:
        if attempt.outcome is not None and attempt.outcome.state is AttemptState.SUCCEEDED:
            # What was raised meanwhile was raised by another run that it has waited for.
            self.exception = None

    def _run_watchdog(self) -> None:
        while not self._closed.wait(self._watchdog.step()):
            pass

    def _keep_exception(self, error: BaseException) -> None:
        # From the handler on: the frames above are ours, and tell nobody anything.
        trace = error.__traceback__
        self.exception = error.with_traceback(trace.tb_next if trace is not None else None)

    def _run_plain(self, attempt: Attempt) -> None:
        interrupt = ThreadInterrupt()
        with suppress(Stopped):
            if run(attempt, self._attempts, interrupt.stop):
                self._report(attempt)
            else:
                # The watchdog has reported the attempt; its exception must not hit what the test does next.
                interrupt.wait()

    async def _run_coroutine(self, attempt: Attempt) -> None:
        loop = asyncio.get_running_loop()
        own: list[asyncio.Task[bool]] = []

        def stop() -> None:
            loop.call_soon_threadsafe(own[0].cancel)

        own.append(loop.create_task(run_async(attempt, self._attempts, stop)))
        if await own[0]:
            self._report(attempt)
