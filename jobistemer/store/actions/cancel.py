"""Cancel a run wherever it is: waiting for others, delayed, on its stream, or in flight at a worker."""

from __future__ import annotations

from collections.abc import Sequence

from jobistemer.core import ids
from jobistemer.core.errors import JobistemerError
from jobistemer.core.jobs.job import FailureStrategy, Job
from jobistemer.core.runs.message import Delivery, Message, TaskRef, decode_message
from jobistemer.core.runs.records import RunRecord
from jobistemer.core.runs.settle import CANCELED, Outcome
from jobistemer.core.states import TERMINAL_RUNS, AttemptState, RunState
from jobistemer.store.calls import groups, jobs, limits, runs
from jobistemer.store.calls.ended_attempt import EndedAttempt
from jobistemer.store.database import Database
from jobistemer.store.keys import front_of
from jobistemer.store.reads import records
from jobistemer.store.scripts import Reply

MAX_RETRIES_AT_ONCE = 500
"""How many waiting retries of a group are cancelled at once; the others are when their time comes."""
TRIES = 5
"""A run moves while it is looked at; after so many looks the caller is told to come again."""


def cancel_run(database: Database, run_id: str, reason: str) -> str:
    """Cancel a run: CANCELED at once, REQUESTED of the worker that has it, ENDED before, UNKNOWN or BUSY."""
    for _ in range(TRIES):
        record = records.find_run(database, run_id)
        if record is None:
            return "UNKNOWN"
        if record.state in TERMINAL_RUNS:
            # A run that has mapped goes on as its groups.
            return _cancel_groups(database, record, reason)
        if record.waits and groups.find_group(database, run_id) is not None:
            # A reducer waits for its group.
            return cancel_group(database, run_id, reason)
        word = _cancel_waiting(database, record, reason) or _cancel_on_stream(database, record, reason)
        if word != "STALE":
            return word
    return "BUSY"


def _cancel_groups(database: Database, record: RunRecord, reason: str) -> str:
    # Where there are several, one more waits for their reducers.
    joins = [ids.join_run_id(record.id)] if record.maps > 1 else []
    found = [*groups.group_ids(record.id, max(1, record.maps)), *joins]
    words = [cancel_group(database, group, reason) for group in found]
    return next((word for word in words if word != "ENDED"), "ENDED")


def cancel_group(database: Database, group: str, reason: str) -> str:
    """Cancel what runs of a group and its reducer are left: REQUESTED, or ENDED when there are none."""
    state = groups.find_group(database, group)
    if state is None:
        return "ENDED"
    if state.total is not None and state.done >= state.total:
        return cancel_run(database, group, reason)
    database.call(groups.halt_group(database.keys, group, f"canceled: {reason}"))
    cancel_retries(database, group)
    return "REQUESTED"


def cancel_retries(database: Database, group: str) -> None:
    """Cancel those runs of a halted group that wait for another attempt; the others meet the mark themselves."""
    state = groups.find_group(database, group)
    for run in groups.list_delayed_children(database, group, state.added if state else 0)[:MAX_RETRIES_AT_ONCE]:
        cancel_run(database, run, "its group has failed")


def cancel_children(database: Database, run_id: str, groups_made: int) -> None:
    """Cancel those children of a run that ended without handing over that wait for another attempt."""
    for group in groups.group_ids(run_id, groups_made):
        cancel_retries(database, group)


def cancel_siblings(database: Database, job: Job, slot: TaskRef) -> None:
    """Under fail_fast, cancel what else of the occurrence is delayed, waiting or running."""
    if job.strategy_of(slot.task) is not FailureStrategy.FAIL_FAST:
        return
    for task in job.tasks:
        if task.name != slot.task:
            run = ids.run_id(slot.occurrence, ids.task_id(job.id, task.name))
            cancel_run(database, run, f"task {slot.task} failed")


def _cancel_waiting(database: Database, record: RunRecord, reason: str) -> str | None:
    # Until it is on a stream, a run keeps its message itself.
    source = "delayed" if record.state is RunState.SCHEDULED else "waiting" if record.waits else None
    if source is None:
        return None
    raw = database.ask("HGET", database.keys.run(record.id), "message")
    return (
        "STALE" if raw is None else _end_canceled(database, record, record.place, decode_message(raw), source, reason)
    )


def _cancel_on_stream(database: Database, record: RunRecord, reason: str) -> str:
    if not record.entry:
        return "STALE"
    # A run that waited for a limit came by the front of its queue, where ids may be the same as on its own stream.
    for where in (record.place, front_of(record.place)):
        found = database.ask("XRANGE", database.keys.stream(where), record.entry, record.entry)
        message = decode_message(found[0][1][b"m"]) if found else None
        if message is not None and message.run == record.id:
            word = _end_canceled(database, record, where, message, "stream", reason)
            if word == "CANCELED":
                return word
    # Workers ask for requests since their last beat: a clock that has drifted would date this one before it.
    now_ms = database.read_clock()
    return database.call(runs.request_cancel(database.keys, record.id, record.entry, now_ms)).word


def _end_canceled(database: Database, record: RunRecord, where: str, message: Message, source: str, reason: str) -> str:
    stream = database.keys.stream(where).encode()
    delivery = Delivery(stream, record.entry.encode(), message, record.attempt, record.crashes)
    outcome = Outcome(AttemptState.CANCELED, error=f"canceled: {reason}")
    ended = EndedAttempt(delivery, outcome, CANCELED, "", 0, database.clock.now_ms(), source, limit=record.waiting)
    (word,) = end_as_canceled(database, [ended])
    return "CANCELED" if word == "DONE" else word


def end_as_canceled(database: Database, ended: Sequence[EndedAttempt]) -> list[str]:
    """End runs as canceled, wherever they wait or were fetched to; return DONE or STALE for each.

    What they have mapped ends with them, and their permits of limits are released. Raises the refusal of the server
    only after the runs that it did not refuse have been dealt with: the same call can be made again.
    """
    if not ended:
        return []
    # An attempt before this one may have mapped: nothing will ever wait for these groups.
    made = groups.count_groups(database, [each.delivery.message.run for each in ended])
    ended = [each._replace(groups_made=count) for each, count in zip(ended, made, strict=True)]
    replies = database.call_all([runs.record_end(database.keys, each, _find_job(database, each)) for each in ended])
    # A run that was admitted and not yet fetched holds its permits already. Those of a STALE one are released with it:
    # the script leaves what is held for an entry that is still there.
    limits.release_deliveries(database, [each.delivery for each in ended])
    for each, reply in zip(ended, replies, strict=True):
        if isinstance(reply, Reply) and reply.word == "DONE":
            cancel_children(database, each.delivery.message.run, each.groups_made)
    refused = [reply for reply in replies if isinstance(reply, JobistemerError)]
    if refused:
        raise refused[0]
    return [reply.word for reply in replies if isinstance(reply, Reply)]


def _find_job(database: Database, ended: EndedAttempt) -> Job | None:
    slot = ended.delivery.message.slot
    return jobs.find_version(database, slot.job, slot.version) if slot else None
