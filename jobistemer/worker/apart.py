"""Run one task run in a process beside the worker: one that asks for it, or one that may have killed a worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from jobistemer.core.endings import Outcome
from jobistemer.core.options import PROCESS
from jobistemer.core.states import AttemptState
from jobistemer.runtime.repeating import start_thread
from jobistemer.worker.channel import Assignment
from jobistemer.worker.execute import circumstances
from jobistemer.worker.flight import Flight, Flights
from jobistemer.worker.outcomes import CANCELED, raised
from jobistemer.worker.pool import Child, Died, NotStarted, Pool
from jobistemer.worker.supply import is_supplied, supplied


def run_apart(flight: Flight, flights: Flights, pool: Pool) -> bool:
    """Run a handler in a process; whether the caller is the one to report the flight."""
    try:
        child = pool.take()
    except NotStarted as error:
        flights.begin(flight, lambda: None)
        return flights.end(flight, Outcome(AttemptState.FAILED, error=str(error)))
    goes_on = flights.begin(flight, child.kill)
    try:
        outcome = _performed(flight, child) if goes_on else CANCELED
    except Died as death:
        child.end()
        return flights.end(flight, _after_death(flight, str(death)))
    ours = flights.end(flight, outcome)
    if ours:
        pool.give_back(child)
    else:
        # It was stopped in the very moment that it ended: somebody is about to kill the process.
        child.end()
    return ours


async def run_apart_async(flight: Flight, flights: Flights, pool: Pool, report: Callable[[Flight], None]) -> None:
    """The same for a slot of the event loop, which waits meanwhile as it would for any coroutine; it is reported."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    def wait() -> None:
        if run_apart(flight, flights, pool):
            report(flight)
        loop.call_soon_threadsafe(ended.set_result, None)

    start_thread(wait, "apart")
    await ended


def _performed(flight: Flight, child: Child) -> Outcome:
    try:
        assignment = _assignment(flight)
    except Exception as error:  # noqa: BLE001 - what its worker was to give is not there: that is an outcome
        return raised(error)
    return child.perform(assignment).outcome


def _assignment(flight: Flight) -> Assignment:
    handler, context = flight.handler, b"null"
    if handler.context_parameter is not None:
        # What a context can do beside telling, it does inside of its worker.
        context = msgspec.json.encode(circumstances(flight))
    given = supplied(flight) if is_supplied(flight) else {}
    encoded = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in given.items()}
    return Assignment(handler.name, flight.delivery.message.payload, msgspec.Raw(context), encoded)


def _after_death(flight: Flight, how: str) -> Outcome:
    # A handler of `executor="process"` may cost its process and is judged by its retry policy. Any other is here
    # because its worker has died before: now it is known who it was, and that counts as another crash.
    state = AttemptState.FAILED if flight.handler.executor == PROCESS else AttemptState.LOST
    return Outcome(state, error=how)
