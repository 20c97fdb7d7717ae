"""Let an occurrence end before its runs have: because somebody cancelled it, or because its time is over.

The occurrence is marked first, in one script; from then on none of its runs is tried again. Then its runs are
cancelled one by one, wherever they are, and the last one's end is the occurrence's. Whoever dies in between leaves
the mark, and a ticker goes on: the occurrence stays among the deadlines until it has ended.
"""

from __future__ import annotations

from jobistemer.core import ids
from jobistemer.core.jobs.job import Job
from jobistemer.core.runs.records import OccurrenceRecord
from jobistemer.core.states import TERMINAL_OCCURRENCES, OccurrenceState
from jobistemer.store.actions.cancel import cancel_run
from jobistemer.store.calls import jobs, occurrences
from jobistemer.store.database import Database
from jobistemer.store.reads import records

RECHECK_MS = 5_000
"""After so long a ticker looks again whether all runs of a halted occurrence have ended."""


def cancel_occurrence(database: Database, occurrence: str, reason: str) -> str:
    """Cancel it with all its runs: CANCELED at once, REQUESTED of workers, ENDED before, or UNKNOWN."""
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
    """Act on the deadline of an occurrence; whether it was still going on."""
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
    # Each run is told why, which an earlier call may have decided.
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
