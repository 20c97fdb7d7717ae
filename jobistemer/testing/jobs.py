"""The fixture of a test: it moves the clock of an app under test, and runs what is due."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from time import time
from typing import Any, ParamSpec, TypeVar, overload
from uuid import uuid4

import msgspec

from jobistemer.app import Jobistemer, Request, TaskHandle
from jobistemer.app.request import NOW
from jobistemer.core.errors import InvalidInput, UnknownJob, UnknownTask
from jobistemer.core.handlers.dependencies import read_provider
from jobistemer.store.server.connection import forget_fake_server
from jobistemer.testing.assertions import Assertions
from jobistemer.testing.calls import PERFORM_QUEUE
from jobistemer.testing.clock import ManualClock
from jobistemer.testing.driver import Driver
from jobistemer.testing.resources import TestResources
from jobistemer.testing.times import When, format_instant, parse_instant_ms, parse_span_ms, to_datetime

P = ParamSpec("P")
R = TypeVar("R")


class Jobs(Assertions):
    """An app under test, on an in-memory server and a clock that stands still until it is advanced.

    Handlers run one after the other in the thread of the test. A step in which an attempt fails raises HandlerFailed,
    with the handler's own exception as its cause, unless `raise_on_failure` is False.
    Each step that runs handlers has an `_async` twin for asynchronous tests: there coroutines run on the loop of the
    test.
    """

    def __init__(self, app: Jobistemer, clock: ManualClock, url: str, stack: ExitStack) -> None:
        super().__init__(app)
        self._clock = clock
        self._url = url
        self._stack = stack
        self._driver = Driver(app, clock, self._calls)
        stack.callback(self._driver.close)
        self.include(app)
        # The steps of the test call the relays: a job that is due every second would make a day take minutes.
        _leave_out(app, app.relays, stack)

    @property
    def now(self) -> datetime:
        """The time of the clock; `datetime.now()` and `time.time()` return the same."""
        return to_datetime(self._clock.now_ms())

    def include(self, app: Jobistemer) -> None:
        """Move another app object of the same system to the same server, until the test ends.

        Such as that of a web process, which enqueues by name. Its handlers are not run.
        """
        self._stack.enter_context(app.namespace.moved_to(self._url, self._clock, self._driver))
        app.hooks.enqueued.append(self._calls.record_enqueued)
        self._stack.callback(app.hooks.enqueued.remove, self._calls.record_enqueued)

    def at(self, when: When) -> None:
        """Begin the test at an instant; nothing runs on the way there. Raises InvalidInput when the test has begun."""
        if self._driver.is_started or self._calls.all():
            raise InvalidInput(f"the test has begun, at {format_instant(self.now)}: jobs.at(…) comes first of all")
        self._clock.move_to(parse_instant_ms("at", when))

    def leave_out(self, *jobs: Any) -> None:
        """Leave jobs of the app out of this test: they are not deployed, and the clock does not stop at their instants.

        For jobs that are due every few seconds, where a test advances days. Raises UnknownJob, or InvalidInput when
        the jobs are deployed already.
        """
        names = [self._job_name(job) for job in jobs]
        if self._driver.deployed:
            raise InvalidInput(f"the jobs are deployed already: jobs.leave_out({', '.join(names)}) comes before a step")
        if missing := [name for name in names if name not in self.app.declarations]:
            raise UnknownJob(f"job {missing[0]!r} was put at run time: only jobs that the app declares can be left out")
        _leave_out(self.app, names, self._stack)

    def override(self, provider: Callable[..., Any], replacement: Callable[..., Any]) -> None:
        """Call another provider in place of one that `Depends` names, until the test ends.

        `jobs.override(get_session, lambda: fake)`. Raises InvalidDefinition for what cannot be called.
        """
        read_provider(replacement)
        overrides = self.app.dependency_overrides
        before = overrides.get(provider, provider)
        overrides[provider] = replacement
        self._stack.callback(overrides.__setitem__, provider, before)

    def worker_resources(self) -> TestResources:
        """Return a context in which the functions of `on_worker_start` have been called; those of the end follow it.

        A test without it calls none of them: it may set `app.state` itself. For `with`, or `async with` in an
        asynchronous test.
        """
        return TestResources(self.app.worker_hooks, self._driver.run_coroutine)

    def run_until_idle(self, *, raise_on_failure: bool = True) -> int:
        """Run all that is due, and the runs that follow from it, until nothing is left at this instant.

        Returns the number of attempts. Runs that are delayed or tried again later stay: advance the clock.
        Raises HandlerFailed.
        """
        __tracebackhide__ = True
        return self._driver.drive(self._driver.iter_until_idle(raise_on_failure=raise_on_failure))

    async def run_until_idle_async(self, *, raise_on_failure: bool = True) -> int:
        """Like `run_until_idle`, awaited."""
        __tracebackhide__ = True
        return await self._driver.drive_async(self._driver.iter_until_idle(raise_on_failure=raise_on_failure))

    def advance(
        self,
        span: timedelta | None = None,
        /,
        *,
        until: When | None = None,
        raise_on_failure: bool = True,
        **parts: float,
    ) -> int:
        """Advance the clock by a span (`days=1, hours=2`, or a timedelta) or until an instant.

        Returns the number of attempts. First the jobs that the app declares by now are deployed. On the way the clock
        stops at each instant at which something is due, and all of it runs there: ticker and worker are never late.
        Raises HandlerFailed at the first instant at which an attempt fails; the clock stays there.
        """
        __tracebackhide__ = True
        return self._driver.drive(
            self._driver.iter_until(self._target_ms(span, until, parts), raise_on_failure=raise_on_failure)
        )

    async def advance_async(
        self,
        span: timedelta | None = None,
        /,
        *,
        until: When | None = None,
        raise_on_failure: bool = True,
        **parts: float,
    ) -> int:
        """Like `advance`, awaited."""
        __tracebackhide__ = True
        steps = self._driver.iter_until(self._target_ms(span, until, parts), raise_on_failure=raise_on_failure)
        return await self._driver.drive_async(steps)

    def outage(self, span: timedelta | None = None, /, *, until: When | None = None, **parts: float) -> None:
        """Advance the clock as if neither ticker nor worker ran. The next step decides what was missed.

        Catching up is paced (`catch_up_per_s`): the clock moves on by the pauses.
        """
        self._driver.deploy_jobs()
        self._clock.move_to(self._target_ms(span, until, parts))

    @overload
    def perform(self, task: TaskHandle[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def perform(self, task: str, /, *args: Any, **kwargs: Any) -> Any: ...
    def perform(self, task: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Run a task now with these arguments, as a run of its own, and return its result. Nothing else is run.

        The call is checked, executed and recorded as in a worker, but once: there are no retries. Raises the exception
        of the handler as it is.
        """
        __tracebackhide__ = True
        request = _build_request(self.app, task, self._task_name(task, {}), args, kwargs)
        self._driver.drive(self._driver.iter_call(request))
        return self._driver.result()

    @overload
    async def perform_async(self, task: TaskHandle[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def perform_async(self, task: str, /, *args: Any, **kwargs: Any) -> Any: ...
    async def perform_async(self, task: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Like `perform`, awaited."""
        __tracebackhide__ = True
        request = _build_request(self.app, task, self._task_name(task, {}), args, kwargs)
        await self._driver.drive_async(self._driver.iter_call(request))
        return self._driver.result()

    def _target_ms(self, span: timedelta | None, until: When | None, parts: dict[str, float]) -> int:
        if until is None:
            return self._clock.now_ms() + parse_span_ms(span, parts)
        until_ms = parse_instant_ms("until", until)
        if span is not None or parts or until_ms < self._clock.now_ms():
            raise InvalidInput(
                f"until is {until!r}, and it is {format_instant(self.now)}: give a later instant, and no span"
            )
        return until_ms


def _build_request(app: Jobistemer, task: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request:
    if name not in app.handlers:
        raise UnknownTask(f"this app has no task {name!r}, so there is nothing to perform")
    given = task.request(*args, **kwargs) if isinstance(task, TaskHandle) else None
    request = given or Request(name, app.handlers[name].encode(args, kwargs))
    options = msgspec.structs.replace(request.options, queue=PERFORM_QUEUE)
    return msgspec.structs.replace(request, options=options, timing=NOW, single=None)


def _leave_out(app: Jobistemer, names: Iterable[str], stack: ExitStack) -> None:
    left = {name: app.declarations.pop(name) for name in dict.fromkeys(names) if name in app.declarations}
    stack.callback(app.declarations.update, left)


@contextmanager
def under_test(app: Jobistemer, *, at: When | None = None) -> Iterator[Jobs]:
    """Put an app under test while the context lasts. The fixture `jobs` does so for pytest.

    The app is moved to an in-memory server of its own, and back to its server at the end. The time of this process
    stands still meanwhile: at the second in which the context begins, or `at` an instant.
    """
    url = f"fake://{uuid4()}"
    with ExitStack() as stack:
        clock = ManualClock(int(time()) * 1000 if at is None else parse_instant_ms("at", at))
        stack.callback(clock.close)
        stack.callback(forget_fake_server, url)
        yield Jobs(app, clock, url, stack)
