"""How the story of a test goes on: from instant to instant, attempt by attempt, with failures told where they happen.

A story is an iterator of attempts; who asks for the next one has run the last. So it is told once, and driven either
here and now or by an asynchronous test.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from jobistemer.app import Jobistemer, Request
from jobistemer.core.errors import InvalidInput, JobistemerError, ResultTimeout
from jobistemer.core.runs.records import RunRecord
from jobistemer.core.states import AttemptState
from jobistemer.store.pause import Lull
from jobistemer.testing.calls import PERFORMING, Calls
from jobistemer.testing.clock import StandingClock
from jobistemer.testing.failures import Failure, ends_the_test, handler_failed
from jobistemer.testing.system import System
from jobistemer.testing.times import from_ms, shown
from jobistemer.worker.attempts.attempt import Flight

Story = Iterator[Flight]


class Stage(Lull):
    """The system of one test, set up when it is first needed."""

    def __init__(self, app: Jobistemer, clock: StandingClock, calls: Calls) -> None:
        self._app = app
        self._clock = clock
        self._calls = calls
        self._system: System | None = None
        self._declared = 0
        self._result: Any = None
        self._last_failure: Failure | None = None

    @property
    def is_set(self) -> bool:
        """Whether anything has been done on it."""
        return self._system is not None

    def ready(self) -> System:
        """The system."""
        if self._system is None:
            self._system = System(self._app, self._clock)
        return self._system

    def deployed(self) -> System:
        """The system, with all jobs deployed that are declared by now: time is about to go on."""
        if len(self._app.declarations) != self._declared:
            self._declared = len(self._app.declarations)
            self._app.deploy()
        return self.ready()

    def settling(self, *, raising: bool) -> Story:
        """Everything that is to be done at this instant. Raises HandlerFailed at its end."""
        __tracebackhide__ = True
        system, failures = self.ready(), []
        for flight in system.settle():
            yield flight
            self._calls.note_executed(flight.delivery.message)
            raised = system.worker.slot.raised
            if raised is not None and ends_the_test(raised):
                raise raised
            if (failure := Failure.of(flight, raised)) is not None:
                self._last_failure = failure
                failures.append(failure)
        if failures and raising:
            raise handler_failed(self._app, failures)

    def walking(self, until_ms: int, *, raising: bool) -> Story:
        """Everything that is to be done until an instant, each at its own."""
        __tracebackhide__ = True
        system = self.deployed()
        yield from self.settling(raising=raising)
        while (instant := system.next_ms()) is not None and instant <= until_ms:
            self._clock.move_to(instant)
            yield from self.settling(raising=raising)
        self._clock.move_to(until_ms)

    def performing(self, request: Request) -> Story:
        """One call, once, and nothing else; `result` has what came of it. Raises what the handler has raised."""
        __tracebackhide__ = True
        system, done = self.ready(), None
        run = self._app.run(self._app.producer.send(request).run)
        for flight in system.perform(PERFORMING):
            yield flight
            done = flight
        raised, record = system.worker.slot.raised, run.record()
        failure = Failure.of(done, raised) if done is not None else None
        failed = handler_failed(self._app, [failure]) if failure is not None else None
        # It was to be run once, so it is not tried again, or later.
        run.cancel("it was performed by a test")
        if done is None or done.outcome is None:
            raise JobistemerError(f"task {request.task!r} was not run: {_why_not(record)}")
        if raised is not None and done.outcome.state is not AttemptState.TIMED_OUT:
            raise raised
        if failed is not None:
            raise failed
        self._result = done.handler.decode_result(done.outcome.result or b"null")

    def result(self) -> Any:
        """What the handler that was performed last has returned."""
        return self._result

    def drive(self, story: Story) -> int:
        """Run a story here and now; how many attempts there were."""
        __tracebackhide__ = True
        slot = self.ready().worker.slot
        if any(handler.is_coroutine for handler in self._app.handlers.values()) and _on_loop():
            raise InvalidInput("an event loop is running here and the app has coroutines: await the _async twin")
        count = 0
        for flight in story:
            slot.run(flight)
            count += 1
        return count

    async def drive_async(self, story: Story) -> int:
        """The same on the running loop."""
        __tracebackhide__ = True
        slot, count = self.ready().worker.slot, 0
        for flight in story:
            await slot.run_async(flight)
            count += 1
        return count

    def sleep(self, seconds: float) -> None:
        """Somebody waits for what others do: have it done. Raises ResultTimeout when there is nothing to do."""
        if seconds and not self.drive(self.settling(raising=False)):
            raise self._too_early()

    async def sleep_async(self, seconds: float) -> None:
        """The same on an event loop."""
        if seconds and not await self.drive_async(self.settling(raising=False)):
            raise self._too_early()

    def _too_early(self) -> ResultTimeout:
        now, last = shown(from_ms(self._clock.now_ms())), self._last_failure
        hint = f"; the last attempt that failed: {last.error}" if last is not None else ""
        error = ResultTimeout(
            f"nothing is left to run at {now}, and what is waited for is not over: advance the clock{hint}"
        )
        error.__cause__ = last.raised if last is not None else None
        return error

    def close(self) -> None:
        """End what was started for the test."""
        if self._system is not None:
            self._system.close()


def _on_loop() -> bool:
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        return True
    return False


def _why_not(record: RunRecord) -> str:
    until = f", until {shown(from_ms(record.due_at))}" if record.due_at else ""
    return f"it {record.note}{until}" if record.note else f"it is {record.state}{until}"
