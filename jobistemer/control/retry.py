"""Retry a run by its id, whatever shard it is on."""

from __future__ import annotations

from collections.abc import Sequence

from jobistemer.control.changes import ChangeList
from jobistemer.core.checks import show
from jobistemer.core.errors import Conflict, DuplicateRun, InvalidInput, QueueClosed, UnknownRun
from jobistemer.core.runs.message import Message
from jobistemer.core.states import RETRYABLE_RUNS, TERMINAL_RUNS
from jobistemer.store.actions.retry_ended import retry_ended
from jobistemer.store.calls.runs import new_run_id
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads import records
from jobistemer.store.reads.jobs import locate_record


def retry_run(namespace: Namespace, run_id: str, by: str | None = None, dropped_steps: Sequence[str] = ()) -> str:
    """Give the work of a run that failed, timed out, died or was canceled to a new run, with all its attempts.

    The new run has the arguments and the options of the old one, outside of its occurrence and its group; each names
    the other. It goes on behind the steps that are on record, without `dropped_steps`, which it does again. by: the
    person who asks for it, for the list of changes. Returns the id of the new run.
    Raises UnknownRun, Conflict when the run has not ended or was retried before, InvalidInput for a run that succeeded
    or cannot be retried, DuplicateRun or QueueClosed.
    """
    database, message = _find_retryable(namespace, run_id)
    new_run = _choose_id(namespace, database)
    reply = database.call(retry_ended(database.keys, message, new_run, namespace.read_clock(), dropped_steps))
    if reply.word == "AGAIN":
        raise Conflict(f"run {run_id} was retried before, as {reply.values[0].decode()}; retry that one if it failed")
    if reply.word == "GONE":
        raise UnknownRun(f"run {run_id} was purged, or its retention ended, at this moment")
    if reply.word == "CLOSED":
        raise QueueClosed(
            f"queue {show(message.queue)} is being drained and takes no new runs; open it again with "
            f"`jobistemer queue open {message.queue}`"
        )
    if reply.word == "EXISTS":
        holder = reply.values[0].decode()
        raise DuplicateRun(f"run {run_id} cannot be retried while {holder} holds its unique key; wait for its end")
    if by is not None:
        ChangeList(namespace, by).record("retry run", run_id, f"as {new_run}")
    return new_run


def _find_retryable(namespace: Namespace, run_id: str) -> tuple[Database, Message]:
    located = locate_record(namespace.shards, run_id)
    if located is None:
        raise UnknownRun(f"run {run_id:.100} is not on record: it never was, or its retention is over")
    database, run = located
    if run.state not in TERMINAL_RUNS:
        raise Conflict(f"run {run_id} is {run.state}: only a run that has ended is retried; cancel it first")
    if run.state not in RETRYABLE_RUNS:
        raise InvalidInput(f"run {run_id} is {run.state}: there is nothing to retry; enqueue the call again")
    if run.retried_as:
        raise Conflict(f"run {run_id} was retried before, as {run.retried_as}; retry that one if it failed")
    message = records.find_message(database, run_id)
    if message is None:
        raise InvalidInput(f"run {run_id} was recorded without its arguments, by an earlier release: enqueue it again")
    if message.group_strategy:
        raise InvalidInput(f"run {run_id} collects the results of a group, which has ended: run what has mapped again")
    return database, message


def _choose_id(namespace: Namespace, database: Database) -> str:
    # A script touches one shard, so the new run has to be on the shard of the old one, which its id decides.
    while True:
        run = new_run_id(namespace.clock.now_ms())
        if namespace.for_id(run) is database:
            return run
