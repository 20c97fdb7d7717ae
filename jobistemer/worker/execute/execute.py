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
from jobistemer.core.handlers.context import Circumstances, Context
from jobistemer.worker.attempts.attempt import Flight, Flights, OpenDesk
from jobistemer.worker.execute.compressed import instants_of
from jobistemer.worker.execute.fan_out import ItemMapping
from jobistemer.worker.execute.injection import is_supplied, supplied
from jobistemer.worker.execute.outcomes import Refused, raised, returned


def run(flight: Flight, flights: Flights, stop: Callable[[], None]) -> bool:
    """Run a plain function here and now; whether the caller is the one to report the flight."""
    if not begin(flight, flights, stop):
        return flights.end(flight, flights.canceled(flight))
    try:
        # What a handler sets in its context variables is gone with its attempt.
        value = copy_context().run(flight.handler.function, **arguments(flight, flights.open_desk))
        outcome = returned(value, flight.handler.sizes.result_bytes)
    except BaseException as error:  # noqa: BLE001 - `sys.exit` in a handler ends an attempt, not a worker
        outcome = raised(error, flight.handler.retrying)
    return flights.end(flight, outcome)


async def run_async(flight: Flight, flights: Flights, stop: Callable[[], None]) -> bool:
    """The same for a coroutine function, on the event loop."""
    if not begin(flight, flights, stop):
        return flights.end(flight, flights.canceled(flight))
    try:
        given = arguments(flight, flights.open_desk) if not is_supplied(flight) else await _in_thread(flight, flights)
        outcome = returned(await flight.handler.function(**given), flight.handler.sizes.result_bytes)
    except BaseException as error:  # noqa: BLE001 - `sys.exit` in a handler ends an attempt, not a worker
        outcome = raised(error, flight.handler.retrying)
    return flights.end(flight, outcome)


async def _in_thread(flight: Flight, flights: Flights) -> dict[str, Any]:
    # What is supplied is read from the server, which would block the loop.
    return await asyncio.to_thread(arguments, flight, flights.open_desk)


def begin(flight: Flight, flights: Flights, stop: Callable[[], None]) -> bool:
    """Note that an attempt begins; False when it was cancelled before, or is somebody else's by now."""
    doubtful = flights.in_doubt(flight)
    goes_on = flights.begin(flight, stop)
    if goes_on and (flight.delivery.crashes or doubtful):
        # It took a worker down before: should it do so again, this record tells it from its neighbours.
        # Or this worker was stopped for longer than its lease: what it had fetched may be somebody else's by now.
        with suppress(JobistemerError):
            return flight.database.call(flight.showing()).word == "SHOWN"
    return goes_on


def arguments(flight: Flight, open_desk: OpenDesk) -> dict[str, Any]:
    """The keyword arguments of the call. Raises Refused when the payload does not fit the handler."""
    handler = flight.handler
    try:
        found = handler.decode(flight.delivery.message.payload)
    except InvalidPayload as error:
        raise Refused(str(error)) from None
    if handler.context_parameter is not None:
        found[handler.context_parameter] = context_of(flight, open_desk)
    if is_supplied(flight):
        found |= supplied(flight)
    return found


def context_of(flight: Flight, open_desk: OpenDesk) -> Context:
    """The circumstances of an attempt with its tools, for a handler that asks for them."""
    desk = flight.desk = open_desk(flight)
    told = msgspec.structs.asdict(circumstances(flight))
    return Context(**told, tools=desk, mapping=ItemMapping(flight, flight.handlers))


def circumstances(flight: Flight) -> Circumstances:
    """What can be told of an attempt."""
    delivery, message = flight.delivery, flight.delivery.message
    slot, now_ms = message.slot, flight.database.clock.now_ms()
    due_ms = slot.due * 1000 if slot else message.enqueued_at
    return Circumstances(
        run=message.run,
        attempt=delivery.attempt,
        attempt_id=ids.attempt_id(message.run, delivery.attempt),
        handler=message.handler,
        due_at=datetime.fromtimestamp(due_ms / 1000, UTC),
        started_at=datetime.fromtimestamp(now_ms / 1000, UTC),
        fencing_token=delivery.attempt + 1,
        job=slot.job if slot else None,
        occurrence=slot.occurrence if slot else None,
        stands_for=instants_of(flight.database, slot),
        metadata=message.metadata,
        headers=message.headers,
        queue=message.queue,
    )
