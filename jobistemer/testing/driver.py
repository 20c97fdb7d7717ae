"""Drives the system of a test from instant to instant and attempt by attempt, and raises the failures of handlers.

The steps of a test are an iterator of attempts. The caller runs each attempt before it takes the next one. So the steps
are written once, and run either in a synchronous test (`drive`) or on the loop of an asynchronous one (`drive_async`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from typing import Any

from jobistemer.app import Jobistemer, Request
from jobistemer.core.errors import InvalidInput, JobistemerError, ResultTimeout
from jobistemer.core.runs.records import RunRecord
from jobistemer.core.states import AttemptState
from jobistemer.store.sleeper import Sleeper
from jobistemer.testing.calls import PERFORM_QUEUE, CallLog
from jobistemer.testing.clock import ManualClock
from jobistemer.testing.failures import FailedAttempt, aborts_test, build_handler_failed
from jobistemer.testing.relay_steps import RelaySteps
from jobistemer.testing.system import System
from jobistemer.testing.times import format_instant, to_datetime
from jobistemer.worker.attempts.attempt import Attempt

Steps = Iterator[Attempt]


class Driver(Sleeper):
    """Runs the steps of one test on its system, which is built with the first of them."""

    def __init__(self, app: Jobistemer, clock: ManualClock, calls: CallLog) -> None:
        self._app = app
        self._clock = clock
        self._calls = calls
        self._system: System | None = None
        self.deployed = 0
        """How many jobs were declared when the last step deployed them."""
        self._relays = RelaySteps(app)
        self._result: Any = None
        self._last_failure: FailedAttempt | None = None

    @property
    def is_started(self) -> bool:
        """Return whether the system has been built."""
        return self._system is not None

    def get_system(self) -> System:
        """Return the system, built when it is needed."""
        if self._system is None:
            self._system = System(self._app, self._clock)
        return self._system

    def run_coroutine(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Execute a coroutine on the loop on which coroutines of handlers run."""
        self.get_system().worker.executor.run_coroutine(coroutine)

    def deploy_jobs(self) -> System:
        """Deploy all jobs that are declared by now and return the system. Called before time goes on."""
        if len(self._app.declarations) != self.deployed:
            self.deployed = len(self._app.declarations)
            self._app.deploy()
        return self.get_system()

    def iter_until_idle(self, *, raise_on_failure: bool) -> Steps:
        """Yield the attempts that can run at this instant. Raises HandlerFailed after them when one has failed."""
        __tracebackhide__ = True
        system, failures = self.get_system(), []
        for attempt in self._relays.iter_attempts(system):
            yield attempt
            self._calls.record_executed(attempt.delivery.message)
            exception = system.worker.executor.exception
            if exception is not None and aborts_test(exception):
                raise exception
            if (failure := FailedAttempt.from_attempt(attempt, exception)) is not None:
                self._last_failure = failure
                failures.append(failure)
        if failures and raise_on_failure:
            raise build_handler_failed(self._app, failures)

    def iter_until(self, until_ms: int, *, raise_on_failure: bool) -> Steps:
        """Yield the attempts up to `until_ms`, with the clock at the instant of each. Raises HandlerFailed."""
        __tracebackhide__ = True
        system = self.deploy_jobs()
        yield from self.iter_until_idle(raise_on_failure=raise_on_failure)
        while (instant := system.next_ms()) is not None and instant <= until_ms:
            self._clock.move_to(instant)
            yield from self.iter_until_idle(raise_on_failure=raise_on_failure)
        self._clock.move_to(until_ms)

    def iter_call(self, request: Request) -> Steps:
        """Yield the one attempt of a call, and nothing else. `result` returns its result afterwards.

        Raises the exception of the handler as it is, HandlerFailed for a timeout, JobistemerError when it was not run.
        """
        __tracebackhide__ = True
        system, done = self.get_system(), None
        run = self._app.run(self._app.producer.send(request).run)
        for attempt in system.run_queue(PERFORM_QUEUE):
            yield attempt
            done = attempt
        exception, record = system.worker.executor.exception, run.record()
        failure = FailedAttempt.from_attempt(done, exception) if done is not None else None
        failed = build_handler_failed(self._app, [failure]) if failure is not None else None
        # Also where the handler failed or asked for a retry: the next step must not run it once more.
        run.cancel("it was performed by a test")
        if done is None or done.outcome is None:
            raise JobistemerError(f"task {request.task!r} was not run: {_explain_not_run(record)}")
        if done.outcome.suspension is not None:
            why = done.outcome.suspension.reason
            raise JobistemerError(f"task {request.task!r} was suspended: {why}; enqueue it, and advance the clock")
        if exception is not None and done.outcome.state is not AttemptState.TIMED_OUT:
            raise exception
        if failed is not None:
            raise failed
        self._result = done.handler.decode_result(done.outcome.result or b"null")

    def result(self) -> Any:
        """Return the result of the last call of `iter_call`."""
        return self._result

    def drive(self, steps: Steps) -> int:
        """Run steps in this thread. Returns the number of attempts."""
        __tracebackhide__ = True
        executor = self.get_system().worker.executor
        # Checked before the first step: otherwise the test would fail in the middle, at the first coroutine.
        if any(handler.is_coroutine for handler in self._app.handlers.values()) and _is_loop_running():
            raise InvalidInput("an event loop is running here and the app has coroutines: await the _async twin")
        count = 0
        for attempt in steps:
            executor.run(attempt)
            count += 1
        return count

    async def drive_async(self, steps: Steps) -> int:
        """Run steps on the running loop. Returns the number of attempts."""
        __tracebackhide__ = True
        executor, count = self.get_system().worker.executor, 0
        for attempt in steps:
            await executor.run_async(attempt)
            count += 1
        return count

    def sleep(self, seconds: float) -> None:
        """Run all attempts of this instant instead of waiting. Raises ResultTimeout when there are none.

        An application calls it when it waits for a result. With nothing left to run it would wait for ever, since the
        clock stands still.
        """
        if seconds and not self.drive(self.iter_until_idle(raise_on_failure=False)):
            raise self._build_timeout()

    async def sleep_async(self, seconds: float) -> None:
        """Do the same as `sleep` on an event loop."""
        if seconds and not await self.drive_async(self.iter_until_idle(raise_on_failure=False)):
            raise self._build_timeout()

    def _build_timeout(self) -> ResultTimeout:
        now, last = format_instant(to_datetime(self._clock.now_ms())), self._last_failure
        hint = f"; the last attempt that failed: {last.error}" if last is not None else ""
        error = ResultTimeout(
            f"nothing is left to run at {now}, and the run that is waited for has not ended: advance the clock{hint}"
        )
        error.__cause__ = last.exception if last is not None else None
        return error

    def close(self) -> None:
        """End the system, if it was built."""
        if self._system is not None:
            self._system.close()


def _is_loop_running() -> bool:
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        return True
    return False


def _explain_not_run(record: RunRecord) -> str:
    until = f", until {format_instant(to_datetime(record.due_at))}" if record.due_at else ""
    return f"it {record.note}{until}" if record.note else f"it is {record.state}{until}"
