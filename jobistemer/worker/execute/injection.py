"""Injection: read the arguments that a handler asks for besides its payload, right before the attempt."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from jobistemer.core import ids
from jobistemer.core.errors import RefusedInput
from jobistemer.core.handlers.control_errors import Fail
from jobistemer.core.handlers.injected import (
    GroupResults,
    Injected,
    InjectedReport,
    UpstreamResult,
    UpstreamResults,
)
from jobistemer.core.handlers.value_codec import Decode
from jobistemer.core.jobs.job import FailureStrategy
from jobistemer.core.runs.message import Message
from jobistemer.core.runs.results import Results
from jobistemer.store.calls import groups
from jobistemer.store.calls.groups import GroupState
from jobistemer.store.database import Database
from jobistemer.store.reads import records, reports
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.execute.server_wait import MAX_WAIT_S, wait_for_server


def needs_injection(attempt: Attempt) -> bool:
    """Return whether anything is to be read for this attempt; for most handlers nothing is."""
    message = attempt.delivery.message
    if attempt.handler.injected or message.group_strategy:
        return True
    # The context of a compressed run shows the instants that its definition says.
    return message.task_ref is not None and message.task_ref.since is not None


def read_injected(attempt: Attempt) -> dict[str, Any]:
    """Read the injected arguments. Raises RefusedInput when a value is missing, Fail when its group failed."""
    # The attempt has not done anything yet, and its outcome could not be recorded now anyway.
    return wait_for_server(
        lambda: _read_injected(attempt.database, attempt.delivery.message, attempt.handler.injected), MAX_WAIT_S
    )


def _read_injected(database: Database, message: Message, supplies: dict[str, Injected]) -> dict[str, Any]:
    if message.group_strategy:
        _check_group(groups.find_group(database, message.run), message)
    upstream = _read_upstream(
        database, message, [each for each in supplies.values() if isinstance(each, UpstreamResult)]
    )
    found: dict[str, Any] = {}
    for parameter, supply in supplies.items():
        match supply:
            case UpstreamResult():
                found[parameter] = upstream[supply.task]
            case UpstreamResults():
                group = groups.find_successor(database, _task_run_id(message, supply.task))
                found[parameter] = _open_results(
                    database, group, supply.decode, f"task {supply.task!r} has mapped nothing"
                )
            case GroupResults():
                missing = "this run is the reducer of no group; name it in ctx.map(…, reduce=…)"
                found[parameter] = _open_results(database, message.run, supply.decode, missing)
            case InjectedReport():
                found[parameter] = _read_report(database, message)
    return found


def _check_group(state: GroupState | None, message: Message) -> None:
    """Refuse to call a reducer whose group has failed, as far as its failure strategy asks for that."""
    if state is None:
        raise RefusedInput(f"the results of group {message.run} have expired")
    if state.halted or (state.failed and message.group_strategy != FailureStrategy.CONTINUE):
        first = state.error.partition("\n")[0]
        raise Fail(f"{state.failed} of {state.total} runs did not succeed: {first}")


def _read_upstream(database: Database, message: Message, supplies: list[UpstreamResult]) -> dict[str, Any]:
    if not supplies:
        return {}
    tasks = [_task_run_id(message, supply.task) for supply in supplies]
    answers = records.read_run_results(
        database, [run for task in tasks for run in (task, ids.join_run_id(task), ids.reducer_run_id(task))]
    )
    triples = zip(answers[::3], answers[1::3], answers[2::3], strict=True)
    return {
        # Where several reducers are joined, the task's result is its own.
        supply.task: _decode_result(supply, *_choose_reducer(task, reducer if join[0] is None else join))
        for supply, (task, join, reducer) in zip(supplies, triples, strict=True)
    }


def _choose_reducer(task: list[bytes | None], reducer: list[bytes | None]) -> tuple[bytes | None, bytes | None]:
    """Return state and result of a task; of one that has mapped, those of its reducer, unless it named none."""
    if reducer[0] is None or reducer[2] == ids.GATHER_NAME.encode():
        return task[0], task[1]
    return reducer[0], reducer[1]


def _decode_result(supply: UpstreamResult, state: bytes | None, result: bytes | None) -> Any:
    if state is None:
        raise RefusedInput(f"the result of upstream task {supply.task!r} has expired")
    try:
        return supply.decode(result or b"null")
    except msgspec.DecodeError as error:
        raise RefusedInput(f"the result of upstream task {supply.task!r} does not fit its parameter: {error}") from None


def _task_run_id(message: Message, task: str) -> str:
    """Return the run of another task of the occurrence; a replayed dead letter has that in its metadata."""
    slot, origin = message.task_ref, message.metadata
    if slot is not None:
        return ids.run_id(slot.occurrence, ids.task_id(slot.job, task))
    if "job" not in origin or "occurrence" not in origin:
        raise RefusedInput(
            f"parameter {task!r} is the result of an upstream task, and this run belongs to no occurrence"
        )
    return ids.run_id(origin["occurrence"], ids.task_id(origin["job"], task))


def _open_results(database: Database, group: str, decode: Decode, missing: str) -> Results[Any]:
    state = groups.find_group(database, group)
    if state is None or state.total is None:
        raise RefusedInput(missing)
    return Results(state.total, state.failed, partial(groups.read_results, database, group), decode)


def _read_report(database: Database, message: Message) -> Any:
    occurrence = message.metadata.get("occurrence", "")
    found = reports.read_report(database, occurrence) if occurrence else None
    if found is None:
        raise RefusedInput(f"no report: occurrence {occurrence or '(none in the metadata)'} is not on record")
    return found
