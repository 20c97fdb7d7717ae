"""Run one task run in a process beside the worker: one that asks for it, or one that may have killed a worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from jobistemer.core.jobs.options import PROCESS
from jobistemer.core.runs.results import Results
from jobistemer.core.runs.settle import Outcome
from jobistemer.core.states import AttemptState
from jobistemer.runtime.repeat import start_thread
from jobistemer.worker.attempts.attempt import AnyDesk, Flight, Flights, OpenDesk
from jobistemer.worker.execute.execute import begin, circumstances
from jobistemer.worker.execute.injection import is_supplied, supplied
from jobistemer.worker.execute.outcomes import raised
from jobistemer.worker.process.parent_side import Errands
from jobistemer.worker.process.pool import Child, Died, NotStarted, Pool
from jobistemer.worker.process.protocol import Assignment, Place

log = logging.getLogger("jobistemer.worker")


def run_apart(flight: Flight, flights: Flights, pool: Pool) -> bool:
    """Run a handler in a process; whether the caller is the one to report the flight."""
    try:
        child = pool.take()
    except NotStarted as error:
        flights.begin(flight, lambda: None)
        return flights.end(flight, Outcome(AttemptState.FAILED, error=str(error)))
    goes_on = begin(flight, flights, child.kill)
    try:
        outcome = _performed(flight, flights.open_desk, child, pool.shards) if goes_on else flights.canceled(flight)
    except Died as death:
        child.end()
        return flights.end(flight, _after_death(flight, str(death)))
    except Exception as error:
        # A fault of ours: neither the slot nor what it ran may be lost over it, and what the process does is nobody's.
        log.exception("process: unexpected error")
        child.kill()
        child.end()
        return flights.end(flight, raised(error))
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


def _performed(flight: Flight, open_desk: OpenDesk, child: Child, shards: int) -> Outcome:
    desk = flight.desk = open_desk(flight)
    try:
        given = supplied(flight) if is_supplied(flight) else {}
        assignment = _assignment(flight, desk, given, shards)
    except Exception as error:  # noqa: BLE001 - what its worker was to give is not there: that is an outcome
        return raised(error)
    errands = Errands(flight, desk, given, child)
    done = child.perform(assignment, errands)
    errands.finish(done)
    return done.outcome


def _assignment(flight: Flight, desk: AnyDesk, given: Mapping[str, Any], shards: int) -> Assignment:
    database = flight.database
    values = {name: value for name, value in given.items() if not isinstance(value, Results)}
    return Assignment(
        handler=flight.handler.name,
        payload=bytes(flight.delivery.message.payload),
        context=msgspec.json.encode(circumstances(flight)),
        place=Place(database.keys.namespace, database.keys.shard, shards, database.clock.now_ms()),
        permissions=desk.permissions,
        supplied={name: msgspec.json.encode(value) for name, value in values.items()},
        groups={name: (len(each), each.failed) for name, each in given.items() if isinstance(each, Results)},
    )


def _after_death(flight: Flight, how: str) -> Outcome:
    # A handler of `executor="process"` may cost its process and is judged by its retry policy. Any other is here
    # because its worker has died before: now it is known who it was, and that counts as another crash.
    state = AttemptState.FAILED if flight.handler.executor == PROCESS else AttemptState.LOST
    return Outcome(state, error=how)
