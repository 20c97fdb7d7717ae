"""Run one task run: decode its payload, call its handler, and make an outcome of it. No exception leaves here."""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import Callable
from contextvars import copy_context
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from jobistemer.core import ids
from jobistemer.core.errors import InvalidPayload, InvalidStep, PayloadTooLarge, RefusedInput, UnknownJob
from jobistemer.core.handlers.context import AttemptInfo, Context
from jobistemer.core.handlers.control_errors import Done, Fail, Retry, Snooze
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.handlers.result_codec import encode_result
from jobistemer.core.handlers.suspension import find_suspension
from jobistemer.core.jobs.retryable import ALWAYS, RetryFilter
from jobistemer.core.planning.recovery import covered_instants
from jobistemer.core.runs.message import WIRE_VERSION, TaskRef
from jobistemer.core.runs.settle import Outcome, Suspension
from jobistemer.core.safe_text import hide_secrets
from jobistemer.core.states import AttemptState
from jobistemer.store.calls import jobs
from jobistemer.store.database import Database
from jobistemer.worker.attempts.attempt import Attempt, ToolsFactory
from jobistemer.worker.attempts.in_flight import RunningAttempts
from jobistemer.worker.execute import forks
from jobistemer.worker.execute.fan_out import FanOut
from jobistemer.worker.execute.finish_steps import finish_steps, finish_steps_async
from jobistemer.worker.execute.injection import needs_injection, read_injected
from jobistemer.worker.execute.server_wait import wait_in_thread

MAX_ERROR_CHARS = 4_000
MAX_DELAY_MS = 366 * 86_400_000

NOTHING_RETURNED = Outcome(AttemptState.SUCCEEDED)


def run(attempt: Attempt, attempts: RunningAttempts, stop: Callable[[], None]) -> bool:
    """Run a plain function in this thread; return whether the caller is the one to report the attempt."""
    if not attempts.begin(attempt, stop):
        return attempts.end(attempt, attempts.canceled_outcome(attempt))
    try:
        # A copy of the context: what a handler sets in its context variables must be gone with its attempt.
        value = copy_context().run(attempt.handler.function, **build_arguments(attempt, attempts.create_tools))
        outcome = outcome_of_result(value, attempt.handler, hands_over=bool(attempt.groups_made))
    except BaseException as error:  # noqa: BLE001 - `sys.exit` in a handler ends an attempt, not a worker
        outcome = outcome_of_error(error, attempt.handler.retry_filter)
    if attempt.tools is not None or attempt.delivery.message.wire == WIRE_VERSION:
        outcome = attempt.canceled_as or finish_steps(attempt, outcome)
    return attempts.end(attempt, outcome)


async def run_async(attempt: Attempt, attempts: RunningAttempts, stop: Callable[[], None]) -> bool:
    """Run a coroutine function on the event loop; return whether the caller is the one to report the attempt."""
    if not attempts.begin(attempt, stop):
        return attempts.end(attempt, attempts.canceled_outcome(attempt))
    try:
        arguments = (
            build_arguments(attempt, attempts.create_tools)
            if not needs_injection(attempt)
            else await _build_arguments_in_thread(attempt, attempts)
        )
        value = await attempt.handler.function(**arguments)
        outcome = outcome_of_result(value, attempt.handler, hands_over=bool(attempt.groups_made))
    except BaseException as error:  # noqa: BLE001 - `sys.exit` in a handler ends an attempt, not a worker
        outcome = outcome_of_error(error, attempt.handler.retry_filter)
    if attempt.tools is not None or attempt.delivery.message.wire == WIRE_VERSION:
        outcome = await finish_steps_async(attempt, outcome)
    return attempts.end(attempt, outcome)


async def _build_arguments_in_thread(attempt: Attempt, attempts: RunningAttempts) -> dict[str, Any]:
    # Injected values are read from the server, which would block the loop.
    return await asyncio.to_thread(build_arguments, attempt, attempts.create_tools)


def build_arguments(attempt: Attempt, create_tools: ToolsFactory) -> dict[str, Any]:
    """Return the keyword arguments of the call. Raises RefusedInput when the payload does not fit the handler."""
    handler, message = attempt.handler, attempt.delivery.message
    try:
        arguments = handler.decode(message.payload)
    except InvalidPayload as error:
        raise RefusedInput(str(error)) from None
    if handler.context_parameter is not None:
        arguments[handler.context_parameter] = build_context(attempt, create_tools)
    # As `needs_injection` says, which would be a call for each run that needs none.
    if handler.injected or message.group_strategy:
        arguments |= read_injected(attempt)
    return arguments


def build_context(attempt: Attempt, create_tools: ToolsFactory) -> Context:
    """Build the context of an attempt with its tools, for a handler that asks for one."""
    tools = attempt.tools = create_tools(attempt)
    facts = msgspec.structs.asdict(build_attempt_info(attempt))
    return Context(**facts, tools=tools, mapping=FanOut(attempt, attempt.handlers))


def build_attempt_info(attempt: Attempt) -> AttemptInfo:
    """Return the facts about an attempt that a context shows. Raises UnknownJob, see `find_covered_instants`."""
    delivery, message = attempt.delivery, attempt.delivery.message
    slot, now_ms = message.task_ref, attempt.database.clock.now_ms()
    due_ms = slot.due * 1000 if slot else message.enqueue_ms
    return AttemptInfo(
        run=message.run,
        attempt=delivery.attempt,
        attempt_id=ids.attempt_id(message.run, delivery.attempt),
        handler=message.handler,
        due_at=datetime.fromtimestamp(due_ms / 1000, UTC),
        started_at=datetime.fromtimestamp(now_ms / 1000, UTC),
        fencing_token=delivery.attempt + 1,
        job=slot.job if slot else None,
        occurrence=slot.occurrence if slot else None,
        stands_for=find_covered_instants(attempt.database, slot),
        metadata=message.metadata,
        headers=message.headers,
        queue=message.queue,
    )


def find_covered_instants(database: Database, slot: TaskRef | None) -> tuple[datetime, ...]:
    """Return the instants that a compressed run stands for; empty for any other run, without asking the server.

    They are computed from the definition that the run is pinned to. Raises UnknownJob when that is gone, NotConnected
    when the server stays away for a minute.
    """
    if slot is None or slot.since is None:
        return ()
    job = wait_in_thread(partial(jobs.find_version, database, slot.job, slot.version))
    if job is None:
        raise UnknownJob(
            f"{slot.occurrence} is compressed, and version {slot.version} of {slot.job}, which says what it stands "
            "for, is gone: the job was removed longer ago than its history is kept",
        )
    return covered_instants(job, slot.since, slot.due)


def outcome_of_result(value: object, handler: Handler, *, hands_over: bool = False) -> Outcome:
    """Return the outcome of a handler that returned.

    A result that cannot be stored, or is not of the annotated type, is a failure without retry. hands_over: a reducer
    will give the result of the run, so that this value is not held against the annotation.
    Does not return in a process that the handler has forked off.
    """
    if forks.is_forked:
        forks.end_forked(None)
    if value is None and (handler.may_return_none or hands_over):
        return NOTHING_RETURNED
    if isinstance(value, Done):
        return outcome_of_error(value)
    try:
        result = encode_result(value, handler.sizes.result_bytes) if hands_over else handler.encode_result(value)
        return Outcome(AttemptState.SUCCEEDED, result=result)
    except (InvalidPayload, PayloadTooLarge) as error:
        return Outcome(AttemptState.FAILED, error=_make_storable(_explain_unfit(value, error)), poison=True)


def outcome_of_error(error: BaseException, retry_filter: RetryFilter = ALWAYS) -> Outcome:
    """Return the outcome of a handler that raised, `sys.exit` and the like included; no exception breaks this.

    Does not return in a process that the handler has forked off.
    """
    if forks.is_forked:
        forks.end_forked(error)
    try:
        return _outcome_of_error(error, retry_filter)
    except BaseException as broken:  # noqa: BLE001 - attributes of an exception are user code and may raise anything
        name = _make_storable(type(broken).__name__)
        return Outcome(AttemptState.FAILED, error=f"its exception cannot be shown, looking at it raised {name}")


def _outcome_of_error(error: BaseException, retry_filter: RetryFilter) -> Outcome:
    # `__class__` of an exception may be a lie of user code; `type` tells the truth.
    kind = type(error)
    if issubclass(kind, RefusedInput | InvalidStep):
        return Outcome(AttemptState.FAILED, error=_text(error), poison=True)
    if not issubclass(kind, Exception) and (suspension := find_suspension(error)) is not None:
        return Outcome(AttemptState.SUSPENDED, suspension=suspension)
    if issubclass(kind, Snooze):
        after_ms = getattr(error, "after_ms", None)
        later = min(max(1, after_ms), MAX_DELAY_MS) if isinstance(after_ms, int) else 1
        suspension = Suspension(0, f"snoozed: {_text(error)}", after_ms=later, is_snooze=True)
        return Outcome(AttemptState.SUSPENDED, suspension=suspension)
    if issubclass(kind, Retry):
        after_ms = getattr(error, "after_ms", None)
        delay = min(max(0, after_ms), MAX_DELAY_MS) if isinstance(after_ms, int) else None
        return Outcome(AttemptState.FAILED, error=_text(error), retry_after_ms=delay)
    if issubclass(kind, Done):
        return Outcome(AttemptState.SUCCEEDED, done=_text(error) or "done")
    if issubclass(kind, Fail):
        return Outcome(AttemptState.FAILED, error=_text(error), final=True)
    return Outcome(AttemptState.FAILED, error=describe_error(error), final=retry_filter.is_final(error))


def describe_error(error: BaseException) -> str:
    """Return type, message and the end of the traceback, cut to a size that can be stored for each attempt."""
    try:
        where = "".join(traceback.format_tb(error.__traceback__)[-3:])
    except BaseException:  # noqa: BLE001 - user code's frames may break the formatter; the outcome stands all the same
        where = ""
    return _make_storable(f"{type(error).__name__}: {_text(error)}\n{where}".strip())


def _text(error: BaseException) -> str:
    try:
        return _make_storable(str(error))
    except BaseException as broken:  # noqa: BLE001 - `__str__` is user code and may raise anything
        return f"(its text cannot be shown: {type(broken).__name__})"


def _make_storable(text: str) -> str:
    # Secrets first: a cut must not leave half of one. Half of a surrogate pair cannot be sent: its escape is.
    return hide_secrets(text[: 4 * MAX_ERROR_CHARS])[:MAX_ERROR_CHARS].encode("utf-8", "backslashreplace").decode()


def _explain_unfit(value: object, error: Exception) -> str:
    if inspect.isawaitable(value) or inspect.isgenerator(value) or inspect.isasyncgen(value):
        kind = type(value).__name__
        if inspect.iscoroutine(value):
            # It would complain on the standard error output that it was never awaited; the error says so here.
            value.close()
        return f"nothing was done: it returned a {kind} that nobody runs; declare the task with `async def`"
    return f"the work was done, but {error}"
