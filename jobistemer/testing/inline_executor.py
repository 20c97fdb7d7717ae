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
from jobistemer.worker.attempts.attempt import Flight, Flights
from jobistemer.worker.attempts.watchdog import Watch
from jobistemer.worker.execute.execute import run, run_async
from jobistemer.worker.slots.threads import Stopped, raise_stopped


class Slot:
    """Runs one attempt after the other; `raised` is what the handler of the last one has raised."""

    def __init__(self, flights: Flights, report: Callable[[Flight], None]) -> None:
        self._flights = flights
        self._report = report
        self._watch = Watch(flights, report)
        self._watching: threading.Thread | None = None
        self._closed = threading.Event()
        self._runner: asyncio.Runner | None = None
        self.raised: BaseException | None = None

    def run(self, flight: Flight) -> None:
        """Run an attempt here and now, and report how it ended."""
        self._begin()
        if flight.handler.is_coroutine:
            self._runner = self._runner or asyncio.Runner()
            self._runner.run(self._run_coroutine(flight), context=copy_context())
        else:
            self._run_plain(flight)
        self._end(flight)

    async def run_async(self, flight: Flight) -> None:
        """The same on the running loop; plain functions in a thread, as a loop is no place for them."""
        self._begin()
        if flight.handler.is_coroutine:
            await self._run_coroutine(flight)
        else:
            await asyncio.to_thread(self._run_plain, flight)
        self._end(flight)

    def witnessed(self, handler: Handler) -> Handler:
        """The handler, but what it raises is kept as it is: records keep the text of it."""
        result = copy.copy(handler)
        function = handler.function

        def call(**arguments: Any) -> Any:
            try:
                return function(**arguments)
            except BaseException as error:
                self._keep(error)
                raise

        async def call_coroutine(**arguments: Any) -> Any:
            try:
                return await function(**arguments)
            except BaseException as error:
                self._keep(error)
                raise

        result.function = call_coroutine if handler.is_coroutine else call
        return result

    def close(self) -> None:
        """End what was started for the test."""
        self._closed.set()
        if self._watching is not None:
            self._watching.join()
        if self._runner is not None:
            self._runner.close()

    def _begin(self) -> None:
        self.raised = None
        if self._watching is None:
            self._watching = start_thread(self._look, "watch of the test")

    def _end(self, flight: Flight) -> None:
        if flight.outcome is not None and flight.outcome.state is AttemptState.SUCCEEDED:
            # What was raised meanwhile was raised by another run that it has waited for.
            self.raised = None

    def _look(self) -> None:
        while not self._closed.wait(self._watch.step()):
            pass

    def _keep(self, error: BaseException) -> None:
        # From the handler on: the frames above are ours, and tell nobody anything.
        trace = error.__traceback__
        self.raised = error.with_traceback(trace.tb_next if trace is not None else None)

    def _run_plain(self, flight: Flight) -> None:
        ident, hit = threading.get_ident(), threading.Event()

        def stop() -> None:
            raise_stopped(ident)
            hit.set()

        with suppress(Stopped):
            if run(flight, self._flights, stop):
                self._report(flight)
            else:
                # The watch has reported it. What it raises must hit nobody who comes later.
                hit.wait()

    async def _run_coroutine(self, flight: Flight) -> None:
        loop = asyncio.get_running_loop()
        own: list[asyncio.Task[bool]] = []

        def stop() -> None:
            loop.call_soon_threadsafe(own[0].cancel)

        own.append(loop.create_task(run_async(flight, self._flights, stop)))
        if await own[0]:
            self._report(flight)
