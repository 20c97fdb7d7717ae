"""The durable part of a context: steps that are not repeated, and waits that hold no slot."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

import msgspec

from jobistemer.core.durations import Seconds
from jobistemer.core.errors import InvalidStep
from jobistemer.core.handlers import wait_flows
from jobistemer.core.handlers.step_flows import StepFlows, pop_options
from jobistemer.core.handlers.step_host import AsyncStepHost, Flow, StepUpdate, run_flow, run_flow_async
from jobistemer.core.handlers.step_journal import CURRENT_STEP, RunningStep
from jobistemer.core.handlers.value_codec import DECLARATION_ERRORS, build_codec
from jobistemer.core.handlers.waits.reminders import OnRemind, read_reminders
from jobistemer.core.jobs.retries import RetryPolicy
from jobistemer.core.payload_json import ENCODING_ERRORS
from jobistemer.core.runs.steps import STEP, StepRecord

if TYPE_CHECKING:
    from jobistemer.core.handlers.context import Tools

P = ParamSpec("P")
R = TypeVar("R")
Undo = Callable[..., Any]
CURSOR_MS = 1_000
"""A cursor is saved at most so often, in milliseconds."""


class Steps(msgspec.Struct, frozen=True):
    """The steps of one attempt, as its tools provide them."""

    flows: StepFlows
    async_host: AsyncStepHost

    def run(self, flow: Flow[R]) -> R:
        """Run a flow in this thread."""
        return run_flow(flow, self.flows.host)

    async def run_async(self, flow: Flow[R]) -> R:
        """Run a flow on the event loop."""
        return await run_flow_async(flow, self.async_host)


class _Cursor:
    """The cursor of the step that the code runs in."""

    __slots__ = ("_steps",)

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    @property
    def cursor(self) -> Any:
        """Return how far the current step has come, as its function has set it, in this attempt or an earlier one.

        None at its first beginning. To be set to any value that JSON can say; it is saved at most once a second.
        Raises InvalidStep outside of a step, or for a value that has no form in JSON.
        """
        raw = bytes(_running().cursor)
        return msgspec.json.decode(raw) if raw else None

    @cursor.setter
    def cursor(self, value: Any) -> None:
        running, flows = _running(), self._steps.flows
        try:
            running.cursor = msgspec.Raw(msgspec.json.encode(value))
        except ENCODING_ERRORS as error:
            raise InvalidStep(f"the cursor of step {running.identity!r} cannot be written as JSON: {error}") from None
        now_ms, journal = flows.host.now_ms(), flows.journal
        if now_ms - max(running.saved_at, running.started_at) >= CURSOR_MS:
            running.saved_at = now_ms
            record = StepRecord(
                STEP, running.asked, 0, journal.attempt, running.started_at, tries=running.tries, cursor=running.cursor
            )
            records = journal.write(running.identity, record)
            flows.host.record_later(StepUpdate({running.identity: records[running.identity]}))


class Step(_Cursor):
    """`ctx.step`: calls a function once, and gives its recorded result in later attempts."""

    @overload
    def __call__(self, name: str, function: Callable[..., R], /, *args: Any, retry: RetryPolicy, **more: Any) -> R: ...
    @overload
    def __call__(self, name: str, function: Callable[..., R], /, *args: Any, timeout_s: float, **more: Any) -> R: ...
    @overload
    def __call__(self, name: str, function: Callable[..., R], /, *args: Any, key: str | int, **more: Any) -> R: ...
    @overload
    def __call__(self, name: str, function: Callable[..., R], /, *args: Any, undo: Undo, **more: Any) -> R: ...
    @overload
    def __call__(self, name: str, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    def __call__(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a function as a step of the run, and return its result; a later attempt gets the recorded result.

        name: unique in the handler, unless `key` differs. These options are not given to the function: `retry`, the
        policy for the step alone (without one an error is raised at once); `timeout_s`, how long one try may take;
        `key`; `undo`, a function that is called with the result when the run ends failed or canceled, in reverse
        order. The result is what JSON and the function's annotation make of it, also the first time.

        Raises what the function raises, TimeoutError, InvalidStep for wrong use, StepsDiffer when the steps on record
        do not fit, or StepFailed for a step that failed in an earlier attempt. While the server is away it waits.
        """
        if inspect.iscoroutinefunction(function):
            raise InvalidStep(f"step {name!r} calls a coroutine function: await ctx.step_async(…)")
        options = pop_options(kwargs)
        return self._steps.run(self._steps.flows.step(name, function, args, kwargs, options))


class AsyncStep(_Cursor):
    """`ctx.step_async`: the same, awaited. A plain function is called in a thread."""

    @overload
    async def __call__(
        self, name: str, function: Callable[..., Awaitable[R]], /, *args: Any, retry: RetryPolicy, **more: Any
    ) -> R: ...
    @overload
    async def __call__(
        self, name: str, function: Callable[..., Awaitable[R]], /, *args: Any, timeout_s: float, **more: Any
    ) -> R: ...
    @overload
    async def __call__(
        self, name: str, function: Callable[..., Awaitable[R]], /, *args: Any, key: str | int, **more: Any
    ) -> R: ...
    @overload
    async def __call__(
        self, name: str, function: Callable[..., Awaitable[R]], /, *args: Any, undo: Undo, **more: Any
    ) -> R: ...
    @overload
    async def __call__(
        self, name: str, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    @overload
    async def __call__(self, name: str, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    async def __call__(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a function as a step like `Step`, awaited."""
        options = pop_options(kwargs)
        return await self._steps.run_async(self._steps.flows.step(name, function, args, kwargs, options))


class DurableMethods:
    """The durable methods of a context. Each of them may end the attempt; the handler is called anew later."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def tools(self) -> Tools:
            """The services of the worker."""
            ...

    @property
    def step(self) -> Step:
        """Call a function as a step: `ctx.step("charge", charge, order)`. Within it `ctx.step.cursor` is its cursor."""
        return Step(self.tools.steps)

    @property
    def step_async(self) -> AsyncStep:
        """Call a function as a step, awaited: `await ctx.step_async("charge", charge, order)`."""
        return AsyncStep(self.tools.steps)

    def sleep(self, duration: Seconds | None = None, *, until: datetime | None = None, name: str | None = None) -> None:
        """Wait for a time, or until a time; from one second on without a slot, a thread or memory.

        duration: seconds or a timedelta, up to ten years. until: an instant with a time zone. name: of the step; by
        default `sleep-1` and so on, in the order of the calls. Raises InvalidStep.
        """
        steps = self.tools.steps
        steps.run(wait_flows.sleep(steps.flows, duration, until, name))

    async def sleep_async(
        self, duration: Seconds | None = None, *, until: datetime | None = None, name: str | None = None
    ) -> None:
        """Wait like `sleep`, awaited."""
        steps = self.tools.steps
        await steps.run_async(wait_flows.sleep(steps.flows, duration, until, name))

    @overload
    def wait_for(
        self,
        name: str,
        of_type: type[R],
        *,
        timeout: Seconds | None = None,
        key: str | int | None = None,
        ask: str = "",
        by: Iterable[str] = (),
        remind: Seconds | Iterable[Seconds] | None = None,
        on_remind: OnRemind | None = None,
    ) -> R | None: ...
    @overload
    def wait_for(
        self,
        name: str,
        *,
        timeout: Seconds | None = None,
        key: str | int | None = None,
        ask: str = "",
        by: Iterable[str] = (),
        remind: Seconds | Iterable[Seconds] | None = None,
        on_remind: OnRemind | None = None,
    ) -> Any: ...
    def wait_for(
        self,
        name: str,
        of_type: Any = Any,
        *,
        timeout: Seconds | None = None,
        key: str | int | None = None,
        ask: str = "",
        by: Iterable[str] = (),
        remind: Seconds | Iterable[Seconds] | None = None,
        on_remind: OnRemind | None = None,
    ) -> Any:
        """Wait for a signal that `app.signal` sends to this run, without a slot, and return its value.

        of_type: the type of the value. timeout: seconds or a timedelta; when it is over, None is returned. Without one
        the wait ends after ten years. A signal that came before is kept, and the first one that came is taken.
        ask: a question to people, which the dashboard shows with a form for the fields of the type; `{parameter}` in it
        stands for an argument of the call. by: the names of those who may answer there, by default everybody.
        remind: after each such duration without an answer, at most twenty times, or after each of a list, on_remind is
        called with a Reminder. Without a function the reminder is a warning in the log. Raises InvalidStep.
        """
        steps, wanted = self.tools.steps, wait_flows.Wanted(of_type, ask, by, read_reminders(remind, on_remind))
        return steps.run(wait_flows.wait_for(steps.flows, name, _build_decoder(of_type), timeout, key, wanted))

    async def wait_for_async(
        self,
        name: str,
        of_type: Any = Any,
        *,
        timeout: Seconds | None = None,  # noqa: ASYNC109 - the same meaning as in `wait_for`
        key: str | int | None = None,
        ask: str = "",
        by: Iterable[str] = (),
        remind: Seconds | Iterable[Seconds] | None = None,
        on_remind: OnRemind | None = None,
    ) -> Any:
        """Wait like `wait_for`, awaited."""
        steps, wanted = self.tools.steps, wait_flows.Wanted(of_type, ask, by, read_reminders(remind, on_remind))
        flow = wait_flows.wait_for(steps.flows, name, _build_decoder(of_type), timeout, key, wanted)
        return await steps.run_async(flow)

    def version(self, name: str) -> bool:
        """Return whether this run comes here under code that has a change; a run that was past this point does not.

        name: of the change. The answer is recorded, and stays the same for the run. Raises InvalidStep.
        """
        steps = self.tools.steps
        return steps.run(wait_flows.version(steps.flows, name))

    async def version_async(self, name: str) -> bool:
        """Return the same as `version`, awaited."""
        steps = self.tools.steps
        return await steps.run_async(wait_flows.version(steps.flows, name))


def _running() -> RunningStep:
    running = CURRENT_STEP.get()
    if running is None:
        raise InvalidStep("ctx.step.cursor belongs to a step: use it in the function that a step calls")
    return running


def _build_decoder(of_type: Any) -> Callable[[bytes], Any]:
    try:
        return build_codec(of_type)[0]
    except DECLARATION_ERRORS as error:
        raise InvalidStep(f"wait_for: the type {of_type!r:.100} cannot be read from JSON: {error}") from None
