"""Attempts in a handler process: of handlers with `executor="process"`, and of runs that may have killed a worker."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from jobistemer.core.handlers.injected import InjectedReport, UpstreamResult
from jobistemer.core.jobs.options import PROCESS
from jobistemer.core.runs.results import Results
from jobistemer.core.runs.settle import Outcome
from jobistemer.core.states import AttemptState
from jobistemer.worker.attempts.attempt import Attempt, AttemptTools, ToolsFactory
from jobistemer.worker.attempts.in_flight import RunningAttempts, end_prepared
from jobistemer.worker.execute.execute import build_attempt_info, outcome_of_error
from jobistemer.worker.execute.finish_steps import limit_snoozes
from jobistemer.worker.execute.injection import needs_injection, read_injected
from jobistemer.worker.process.failures import ProcessDied, ProcessNotStarted
from jobistemer.worker.process.handler_process import HandlerProcess
from jobistemer.worker.process.parent_side import ContextServer
from jobistemer.worker.process.pool import ProcessPool
from jobistemer.worker.process.protocol import Assignment, ShardLocation

log = logging.getLogger("jobistemer.worker")


def run_in_process(attempt: Attempt, attempts: RunningAttempts, pool: ProcessPool) -> bool:
    """Run an attempt that is prepared in a process. Returns whether the caller must report it.

    If not, the watchdog has, or the worker ends and has given it back before it began.
    """
    try:
        process = pool.acquire()
    except ProcessNotStarted as error:
        return end_prepared(attempts, attempt, Outcome(AttemptState.FAILED, error=str(error)))
    if not attempts.end_preparation(attempt):
        pool.release(process)
        return False
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
        # A bug in Jobistemer must cost neither the slot nor the attempt; the state of the process is not known.
        log.exception("process: unexpected error")
        process.kill()
        process.end()
        return attempts.end(attempt, outcome_of_error(error))
    must_report = attempts.end(attempt, outcome)
    if must_report:
        pool.release(process)
    else:
        # The watchdog has stopped the attempt as it ended, and may kill the process at any moment from now on.
        process.end()
    return must_report


def _perform(attempt: Attempt, create_tools: ToolsFactory, process: HandlerProcess, shards: int) -> Outcome:
    tools = attempt.tools = create_tools(attempt)
    try:
        injected = read_injected(attempt) if needs_injection(attempt) else {}
        assignment = _build_assignment(attempt, tools, injected, shards)
    except Exception as error:  # noqa: BLE001 - a missing injected value is an outcome of the attempt
        return outcome_of_error(error)
    context_server = ContextServer(attempt, tools, injected, process)
    done = process.perform(assignment, context_server)
    context_server.apply_effects(done)
    return limit_snoozes(attempt, done.outcome)


def _build_assignment(attempt: Attempt, tools: AttemptTools, injected: Mapping[str, Any], shards: int) -> Assignment:
    database = attempt.database
    singles = {
        name: each
        for name, each in attempt.handler.injected.items()
        if isinstance(each, UpstreamResult | InjectedReport)
    }
    return Assignment(
        handler=attempt.handler.name,
        payload=bytes(attempt.delivery.message.payload),
        context=msgspec.json.encode(build_attempt_info(attempt)),
        place=ShardLocation(database.keys.namespace, database.keys.shard, shards, database.clock.now_ms()),
        permissions=tools.permissions,
        supplied={name: each.encode(injected[name]) for name, each in singles.items()},
        groups={name: (len(each), each.failed) for name, each in injected.items() if isinstance(each, Results)},
        attempt=attempt.delivery.attempt,
        is_undoing=attempt.delivery.message.undoing is not None,
        result_bytes=attempt.handler.sizes.result_bytes,
    )


def _outcome_of_death(attempt: Attempt, error: str) -> Outcome:
    # A handler with `executor="process"` may end its process, so its retry policy decides. Any other run is here
    # because a worker died while it ran. Now this run is known to be the cause, and that counts as another crash.
    state = AttemptState.FAILED if attempt.handler.executor == PROCESS else AttemptState.LOST
    return Outcome(state, error=error)
