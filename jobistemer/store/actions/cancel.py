"""Cancel runs, groups and occurrences, wherever they are: waiting, delayed, on a stream, or in flight at a worker.

An occurrence is marked first, in one script; from then on none of its runs is tried again. Then its runs are cancelled
one by one, and the occurrence ends with the last of them. A process that dies in between leaves the mark, and a ticker
goes on: the occurrence stays among the deadlines until it has ended.
"""

from __future__ import annotations

from collections.abc import Sequence

from jobistemer.core import ids
from jobistemer.core.errors import JobistemerError
from jobistemer.core.jobs.job import FailureStrategy, Job
from jobistemer.core.runs.message import Delivery, Message, TaskRef, read_message
from jobistemer.core.runs.records import OccurrenceRecord, RunRecord
from jobistemer.core.runs.settle import CANCELED, Outcome
from jobistemer.core.states import TERMINAL_OCCURRENCES, TERMINAL_RUNS, WAITING_RUNS, AttemptState, OccurrenceState
from jobistemer.store.calls import groups, jobs, limits, occurrences, run_ends, runs
from jobistemer.store.calls.ended_attempt import EndedAttempt
from jobistemer.store.calls.job_versions import find_live_versions
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys, front_of
from jobistemer.store.reads import records
from jobistemer.store.scripts import Reply

MAX_RETRIES_AT_ONCE = 500
"""How many waiting retries of a group are cancelled at once; the others are cancelled when they are fetched."""
TRIES = 5
"""How often a run is looked at: it may move between a look and the call that ends it."""
RECHECK_MS = 5_000
"""After so long a ticker looks again whether all runs of a halted occurrence have ended."""


def cancel_run(database: Database, run_id: str, reason: str) -> str:
    """Cancel a run.

    Returns CANCELED, REQUESTED (of the worker that executes it), ENDED (before), UNKNOWN, or BUSY when the run moved
    with every look. Raises NotConnected or ServerRefused, as all functions here.
    """
    for _ in range(TRIES):
        record = records.find_record(database, run_id)
        if record is None:
            return "UNKNOWN"
        if record.state in TERMINAL_RUNS:
            # The work of a run that has mapped goes on in its groups.
            return _cancel_groups(database, record, reason)
        if record.waits and groups.find_group(database, run_id) is not None:
            # The run is a reducer that waits for its group: without the group it would be called with no results.
            return cancel_group(database, run_id, reason)
        word = _cancel_waiting(database, record, reason) or _cancel_on_stream(database, record, reason)
        if word != "STALE":
            return word
    return "BUSY"


def _cancel_groups(database: Database, record: RunRecord, reason: str) -> str:
    # With several groups one more run waits for their reducers.
    joins = [ids.join_run_id(record.id)] if record.maps > 1 else []
    found = [*groups.group_ids(record.id, max(1, record.maps)), *joins]
    words = [cancel_group(database, group, reason) for group in found]
    return next((word for word in words if word != "ENDED"), "ENDED")


def cancel_group(database: Database, group: str, reason: str) -> str:
    """Cancel the runs of a group that have not ended, and its reducer.

    Returns REQUESTED, or ENDED when there are none.
    """
    state = groups.find_group(database, group)
    if state is None:
        return "ENDED"
    if state.total is not None and state.done >= state.total:
        return cancel_run(database, group, reason)
    database.call(groups.halt_group(database.keys, group, f"canceled: {reason}"))
    cancel_retries(database, group)
    return "REQUESTED"


def cancel_retries(database: Database, group: str) -> None:
    """Cancel the runs of a halted group that wait for another attempt; other runs find the mark of the group."""
    state = groups.find_group(database, group)
    for run in groups.list_delayed_children(database, group, state.added if state else 0)[:MAX_RETRIES_AT_ONCE]:
        cancel_run(database, run, "its group has failed")


def cancel_children(database: Database, run_id: str, groups_made: int) -> None:
    """Cancel the children that wait for another attempt, of a run that ended without handing over to its reducers."""
    for group in groups.group_ids(run_id, groups_made):
        cancel_retries(database, group)


def cancel_siblings(database: Database, job: Job, slot: TaskRef) -> None:
    """Cancel the other runs of an occurrence under fail_fast: delayed, waiting or running."""
    if job.strategy_of(slot.task) is not FailureStrategy.FAIL_FAST:
        return
    for task in job.tasks:
        if task.name != slot.task:
            run = ids.run_id(slot.occurrence, ids.task_id(job.id, task.name))
            cancel_run(database, run, f"task {slot.task} failed")


def _cancel_waiting(database: Database, record: RunRecord, reason: str) -> str | None:
    # A run that is not on a stream has its message in its record.
    source = "delayed" if record.state in WAITING_RUNS else "waiting" if record.waits else None
    if source is None:
        return None
    raw = database.ask("HGET", database.keys.run(record.id), "message")
    if raw is None:
        return "STALE"
    return _end_canceled(database, record, record.place, read_message(raw, record.id), source, reason)


def _cancel_on_stream(database: Database, record: RunRecord, reason: str) -> str:
    if not record.entry:
        return "STALE"
    # A run that waited for a limit is on the front of its queue. Entries of two streams may have the same id, so the
    # message decides whose entry it is.
    for where in (record.place, front_of(record.place)):
        found = database.ask("XRANGE", database.keys.stream(where), record.entry, record.entry)
        message = read_message(found[0][1].get(b"m", b""), record.id) if found else None
        if message is not None and message.run == record.id:
            word = _end_canceled(database, record, where, message, "stream", reason)
            if word == "CANCELED":
                return word
    # Workers read the requests since their last beat: dated by a local clock that lags, this one would be missed.
    now_ms = database.read_clock()
    return database.call(runs.request_cancel(database.keys, record.id, record.entry, now_ms, reason)).word


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
    replies = database.call_all(
        [run_ends.end_run(database.keys, each, CANCELED, _find_job(database, each)) for each in ended]
    )
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
    slot = ended.delivery.message.task_ref
    return jobs.find_version(database, slot.job, slot.version) if slot else None


def cancel_occurrence(database: Database, occurrence: str, reason: str) -> str:
    """Cancel an occurrence with all its runs. Returns CANCELED, REQUESTED (of workers), ENDED (before) or UNKNOWN."""
    record = _find_record(database, occurrence)
    if record is None:
        return "UNKNOWN"
    if record.state in TERMINAL_OCCURRENCES:
        return "ENDED"
    job = jobs.find_version(database, record.job, record.version)
    if record.state is OccurrenceState.QUEUED and _cancel_queued(database, record, job, reason):
        return "CANCELED"
    if not _halt(database, record, job, OccurrenceState.CANCELED, f"canceled: {reason}"):
        return "ENDED"
    ended = _find_record(database, occurrence)
    return "CANCELED" if ended is not None and ended.state in TERMINAL_OCCURRENCES else "REQUESTED"


def end_overdue(database: Database, occurrence: str) -> bool:
    """Halt an occurrence whose deadline is over. Returns whether it was still going on."""
    record = _find_record(database, occurrence)
    job = jobs.find_version(database, record.job, record.version) if record else None
    if record is None:
        database.ask("ZREM", database.keys.deadlines, occurrence)
        return False
    limit = f" after {job.occurrence_timeout_s:g} s" if job and job.occurrence_timeout_s is not None else ""
    return _halt(database, record, job, OccurrenceState.TIMED_OUT, f"timed out{limit}")


def _halt(database: Database, record: OccurrenceRecord, job: Job | None, verdict: OccurrenceState, reason: str) -> bool:
    again_at = database.clock.now_ms() + RECHECK_MS
    if database.call(occurrences.halt(database.keys, record.id, verdict, reason, again_at)).word != "HALTED":
        return False
    # The reason of the first call counts, since its verdict is the one on record.
    why = f"its occurrence has to end: {record.error if record.halt else reason}"
    for task in job.tasks if job else ():
        cancel_run(database, ids.run_id(record.id, ids.task_id(record.job, task.name)), why)
    return True


def _cancel_queued(database: Database, record: OccurrenceRecord, job: Job | None, reason: str) -> bool:
    history_ms = round((job.history_s if job else 86_400) * 1000)
    now_ms = database.clock.now_ms()
    call = occurrences.cancel_queued(database.keys, record.job, record.id, now_ms, reason, history_ms)
    return database.call(call).word == "CANCELED"


def _find_record(database: Database, occurrence: str) -> OccurrenceRecord | None:
    return next(iter(records.find_occurrences(database, [occurrence])), None)


def cancel_older_versions(database: Database, job_id: str, version: int) -> int:
    """Cancel the occurrences of a job that are live under versions before `version`. Returns how many there were.

    Any number of tickers may do this at the same time: a second cancellation finds nothing to do.
    """
    earlier = [each for each, pinned in find_live_versions(database, job_id).items() if pinned < version]
    # Queued occurrences come first: the end of one that runs would start the next.
    for occurrence in reversed(earlier):
        cancel_occurrence(database, occurrence, f"version {version} of its job took over at once")
    return len(earlier)


def cancel_earlier_occurrences(database: Database, job_id: str, instant: int) -> int:
    """Cancel the occurrences of a job that are due before `instant`. Returns how many had not ended."""
    keys, by = database.keys, ids.occurrence_id(job_id, instant)
    found = database.ask_all([("ZRANGEBYSCORE", key, "-inf", f"({instant}") for key in _unended_keys(keys, job_id)])
    earlier = [each.decode() for part in found for each in part]
    for record in records.find_occurrences(database, earlier):
        _cancel_replaced(database, job_id, record.id, record.version, f"replaced by {by}")
    return len(earlier)


def _unended_keys(keys: Keys, job_id: str) -> tuple[str, str]:
    # Queued occurrences come first: the end of one that runs would start the next.
    return keys.queued(job_id), keys.live(job_id)


def _cancel_replaced(database: Database, job_id: str, occurrence: str, version: int, reason: str) -> None:
    job = jobs.find_version(database, job_id, version)
    if job is None:
        return
    now_ms = database.clock.now_ms()
    history_ms = round(job.history_s * 1000)
    queued = occurrences.cancel_queued(database.keys, job_id, occurrence, now_ms, reason, history_ms)
    if database.call(queued).word == "TAKEN":
        for task in job.tasks:
            cancel_run(database, ids.run_id(occurrence, ids.task_id(job_id, task.name)), reason)
