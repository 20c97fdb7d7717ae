"""Trim the history of a job to its retention: by age, as records expire, and by count, the earliest ones first.

An occurrence is removed together with its runs and their attempts. An occurrence that has not ended stays. A dead run
stays too: it is a dead letter, and can be replayed until it expires.
"""

from __future__ import annotations

from jobistemer.core import ids
from jobistemer.core.jobs.job import Job
from jobistemer.core.runs.records import OccurrenceRecord
from jobistemer.core.states import TERMINAL_OCCURRENCES, TERMINAL_RUNS, RunState
from jobistemer.store.calls import jobs
from jobistemer.store.database import Database
from jobistemer.store.reads import records
from jobistemer.store.scripts import ScriptCall, script

STEP = 100
"""How many of the earliest occurrences one step looks at, and how many records one call deletes."""


def trim_step(database: Database, job: Job) -> int:
    """Look at the earliest occurrences of a job. Returns how many of them were removed from its history."""
    history = database.keys.history(job.id)
    total, first = database.ask_all([("ZCARD", history), ("ZRANGE", history, 0, STEP - 1)])
    earliest = [each.decode() for each in first]
    found = {record.id: record for record in records.find_occurrences(database, earliest)}
    expired = [each for each in earliest if each not in found]
    if expired:
        database.ask("ZREM", history, *expired)
    over = total - len(expired) - job.history_count
    ended = [record for record in found.values() if record.state in TERMINAL_OCCURRENCES]
    return len(expired) + sum(_forget_occurrence(database, record) for record in ended[: max(0, over)])


def _forget_occurrence(database: Database, record: OccurrenceRecord) -> bool:
    keys = _list_record_keys(database, record)
    parts = [keys[at : at + STEP] for at in range(0, len(keys), STEP)] or [[]]
    words = []
    for number, part in enumerate(parts, 1):
        words.append(database.call(_forget_call(database, record, part, len(parts) - number)).word)
    return words[-1] == "FORGOTTEN"


def _list_record_keys(database: Database, record: OccurrenceRecord) -> list[str]:
    job = jobs.find_version(database, record.job, record.version)
    tasks = [ids.run_id(record.id, ids.task_id(record.job, task.name)) for task in job.tasks] if job else []
    found = records.find_runs(database, tasks)
    # Older versions wrote no `buried`.
    runs = [run for run in found if run.state in TERMINAL_RUNS and not run.buried and run.state is not RunState.DEAD]
    attempts = [ids.attempt_id(run.id, number) for run in runs for number in range(run.attempt + 1)]
    keys = database.keys
    return [*(keys.attempt(each) for each in attempts), *(keys.run(run.id) for run in runs)]


def _forget_call(database: Database, record: OccurrenceRecord, part: list[str], left: int) -> ScriptCall:
    keys = database.keys
    return script("forget_occurrence")((keys.occurrence(record.id), keys.history(record.job), *part), (record.id, left))
