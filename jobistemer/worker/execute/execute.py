"""Run one task run: the payload in, the handler called, an outcome out. Nothing a handler does leaves here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from datetime import UTC, datetime
from typing import Any

import msgspec

from jobistemer.core import ids
from jobistemer.core.errors import InvalidPayload, JobistemerError
from jobistemer.core.handlers.context import AttemptInfo, Context
from jobistemer.worker.attempts.attempt import Attempt, RunningAttempts, ToolsFactory
from jobistemer.worker.execute.compressed import find_covered_instants
from jobistemer.worker.execute.fan_out import FanOut
from jobistemer.worker.execute.injection import needs_injection, read_injected
from jobistemer.worker.execute.outcomes import RefusedInput, outcome_of_error, outcome_of_result


def run(attempt: Attempt, attempts: RunningAttempts, stop: Callable[[], None]) -> bool:
    """Run a plain function here and now; whether the caller is the one to report the attempt."""
    if not begin(attempt, attempts, stop):
        return attempts.end(attempt, attempts.canceled_outcome(attempt))
    try:
        # What a handler sets in its context variables is gone with its attempt.
        value = copy_context().run(attempt.handler.function, **build_arguments(attempt, attempts.create_tools))
        outcome = outcome_of_result(value, attempt.handler.sizes.result_bytes)
    except BaseException as error:  # noqa: BLE001 - `sys.exit` in a handler ends an attempt, not a worker
        outcome = outcome_of_error(error, attempt.handler.retry_filter)
    return attempts.end(attempt, outcome)


async def run_async(attempt: Attempt, attempts: RunningAttempts, stop: Callable[[], None]) -> bool:
    """The same for a coroutine function, on the event loop."""
    if not begin(attempt, attempts, stop):
        return attempts.end(attempt, attempts.canceled_outcome(attempt))
    try:
        arguments = (
            build_arguments(attempt, attempts.create_tools)
            if not needs_injection(attempt)
            else await _build_arguments_in_thread(attempt, attempts)
        )
        outcome = outcome_of_result(await attempt.handler.function(**arguments), attempt.handler.sizes.result_bytes)
    except BaseException as error:  # noqa: BLE001 - `sys.exit` in a handler ends an attempt, not a worker
        outcome = outcome_of_error(error, attempt.handler.retry_filter)
    return attempts.end(attempt, outcome)


async def _build_arguments_in_thread(attempt: Attempt, attempts: RunningAttempts) -> dict[str, Any]:
    # What is supplied is read from the server, which would block the loop.
    return await asyncio.to_thread(build_arguments, attempt, attempts.create_tools)


def begin(attempt: Attempt, attempts: RunningAttempts, stop: Callable[[], None]) -> bool:
    """Note that an attempt begins; False when it was cancelled before, or is somebody else's by now."""
    doubtful = attempts.lease_may_have_expired(attempt)
    may_run = attempts.begin(attempt, stop)
    if may_run and (attempt.delivery.crashes or doubtful):
        # It took a worker down before: should it do so again, this record tells it from its neighbours.
        # Or this worker was stopped for longer than its lease: what it had fetched may be somebody else's by now.
        with suppress(JobistemerError):
            return attempt.database.call(attempt.build_start_call()).word == "SHOWN"
    return may_run


def build_arguments(attempt: Attempt, create_tools: ToolsFactory) -> dict[str, Any]:
    """The keyword arguments of the call. Raises RefusedInput when the payload does not fit the handler."""
    handler = attempt.handler
    try:
        found = handler.decode(attempt.delivery.message.payload)
    except InvalidPayload as error:
        raise RefusedInput(str(error)) from None
    if handler.context_parameter is not None:
        found[handler.context_parameter] = build_context(attempt, create_tools)
    if needs_injection(attempt):
        found |= read_injected(attempt)
    return found


def build_context(attempt: Attempt, create_tools: ToolsFactory) -> Context:
    """The circumstances of an attempt with its tools, for a handler that asks for them."""
    tools = attempt.tools = create_tools(attempt)
    facts = msgspec.structs.asdict(build_circumstances(attempt))
    return Context(**facts, tools=tools, mapping=FanOut(attempt, attempt.handlers))


def build_circumstances(attempt: Attempt) -> AttemptInfo:
    """What can be told of an attempt."""
    delivery, message = attempt.delivery, attempt.delivery.message
    slot, now_ms = message.task_ref, attempt.database.clock.now_ms()
    due_ms = slot.due * 1000 if slot else message.enqueued_at
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
