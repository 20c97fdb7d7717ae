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
from jobistemer.worker.attempts.attempt import Attempt, AttemptTools, RunningAttempts, ToolsFactory
from jobistemer.worker.execute.execute import build_attempt_info
from jobistemer.worker.execute.injection import needs_injection, read_injected
from jobistemer.worker.execute.outcomes import outcome_of_error
from jobistemer.worker.process.parent_side import ContextServer
from jobistemer.worker.process.pool import HandlerProcess, ProcessDied, ProcessNotStarted, ProcessPool
from jobistemer.worker.process.protocol import Assignment, ShardLocation

log = logging.getLogger("jobistemer.worker")


def run_in_process(attempt: Attempt, attempts: RunningAttempts, pool: ProcessPool) -> bool:
    """Run a handler in a process; whether the caller is the one to report the attempt."""
    try:
        process = pool.acquire()
    except ProcessNotStarted as error:
        attempts.end_unstarted(attempt, Outcome(AttemptState.FAILED, error=str(error)))
        return True
    may_run = attempts.begin(attempt, process.kill)
    try:
        outcome = (
            _perform(attempt, attempts.create_tools, process, pool.shards)
            if may_run
            else attempts.canceled_outcome(attempt)
        )
    except ProcessDied as death:
        process.end()
        return attempts.end(attempt, _outcome_of_death(attempt, str(death)))
    except Exception as error:
        # A fault of ours: neither the slot nor what it ran may be lost over it, and what the process does is nobody's.
        log.exception("process: unexpected error")
        process.kill()
        process.end()
        return attempts.end(attempt, outcome_of_error(error))
    must_report = attempts.end(attempt, outcome)
    if must_report:
        pool.release(process)
    else:
        # It was stopped in the very moment that it ended: somebody is about to kill the process.
        process.end()
    return must_report


async def run_in_process_async(
    attempt: Attempt, attempts: RunningAttempts, pool: ProcessPool, report: Callable[[Attempt], None]
) -> None:
    """The same for a slot of the event loop, which waits meanwhile as it would for any coroutine; it is reported."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    def wait() -> None:
        if run_in_process(attempt, attempts, pool):
            report(attempt)
        loop.call_soon_threadsafe(ended.set_result, None)

    start_thread(wait, "process")
    await ended


def _perform(attempt: Attempt, create_tools: ToolsFactory, process: HandlerProcess, shards: int) -> Outcome:
    tools = attempt.tools = create_tools(attempt)
    try:
        injected = read_injected(attempt) if needs_injection(attempt) else {}
        assignment = _build_assignment(attempt, tools, injected, shards)
    except Exception as error:  # noqa: BLE001 - what its worker was to give is not there: that is an outcome
        return outcome_of_error(error)
    context_server = ContextServer(attempt, tools, injected, process)
    done = process.perform(assignment, context_server)
    context_server.apply_effects(done)
    return done.outcome


def _build_assignment(attempt: Attempt, tools: AttemptTools, injected: Mapping[str, Any], shards: int) -> Assignment:
    database = attempt.database
    values = {name: value for name, value in injected.items() if not isinstance(value, Results)}
    return Assignment(
        handler=attempt.handler.name,
        payload=bytes(attempt.delivery.message.payload),
        context=msgspec.json.encode(build_attempt_info(attempt)),
        place=ShardLocation(database.keys.namespace, database.keys.shard, shards, database.clock.now_ms()),
        permissions=tools.permissions,
        supplied={name: msgspec.json.encode(value) for name, value in values.items()},
        groups={name: (len(each), each.failed) for name, each in injected.items() if isinstance(each, Results)},
    )


def _outcome_of_death(attempt: Attempt, how: str) -> Outcome:
    # A handler of `executor="process"` may cost its process and is judged by its retry policy. Any other is here
    # because its worker has died before: now it is known who it was, and that counts as another crash.
    state = AttemptState.FAILED if attempt.handler.executor == PROCESS else AttemptState.LOST
    return Outcome(state, error=how)
