"""Execution reports, made from the records of an occurrence."""

from __future__ import annotations

from collections.abc import Sequence

from jobistemer.core import ids
from jobistemer.core.errors import UnknownOccurrence
from jobistemer.core.jobs.job import Job, Task
from jobistemer.core.runs.report import GroupReport, Report, TaskRecords, make_report
from jobistemer.store.calls import groups, jobs
from jobistemer.store.database import Database
from jobistemer.store.reads import records


def read_report(database: Database, occurrence_id: str) -> Report | None:
    """Return the report of an occurrence of this shard; None when it is not on record (any more)."""
    found = records.find_occurrences(database, [occurrence_id])
    if not found:
        return None
    occurrence = found[0]
    job = jobs.find_version(database, occurrence.job, occurrence.version)
    tasks = {task.name: _read_task(database, occurrence_id, job, task) for task in job.tasks} if job else {}
    return make_report(occurrence, job, tasks)


def find_report(shards: Sequence[Database], occurrence_id: str) -> Report:
    """Find the report of an occurrence on any shard. Raises UnknownOccurrence when it is not on record."""
    for database in shards:
        found = read_report(database, occurrence_id)
        if found is not None:
            return found
    raise UnknownOccurrence(f"{occurrence_id} is not on record: it never was, or its retention is over")


def _read_task(database: Database, occurrence: str, job: Job, task: Task) -> TaskRecords:
    run = ids.run_id(occurrence, ids.task_id(job.id, task.name))
    record = records.find_run(database, run)
    if record is None:
        return TaskRecords(run, None)
    attempts = tuple(records.find_attempts(database, record))
    return TaskRecords(run, record, attempts, read_group(database, groups.find_successor(database, run)))


def read_group(database: Database, group: str) -> GroupReport | None:
    """Return the progress of a group and the run of its reducer; None when there is no group (any more)."""
    state = groups.find_group(database, group)
    if state is None:
        return None
    reducer = records.find_record(database, group)
    return GroupReport(
        total=state.added if state.total is None else state.total,
        done=state.done,
        failed=state.failed,
        reducer=group if reducer else "",
        state=reducer.state if reducer else "unsealed",
        error=(reducer.error if reducer else "") or state.error,
    )
