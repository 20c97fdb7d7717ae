"""The names that a namespace knows: of its jobs, through the set of due instants, and of their tasks and limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from jobistemer.core import ids
from jobistemer.core.jobs.job import Job, decode_job_name
from jobistemer.core.reads.summaries import JobSummary
from jobistemer.core.unreadable import READ_ERRORS, to_text
from jobistemer.store.calls.jobs import StoredJob, read_command, read_job
from jobistemer.store.database import Database
from jobistemer.store.keys import DAY_MS
from jobistemer.store.namespace import Namespace
from jobistemer.store.reading import read_members
from jobistemer.store.reads.entries import list_entries
from jobistemer.store.reads.jobs import find_summaries, list_delayed
from jobistemer.store.reads.metrics import COUNTED_DAYS, read_day_counts

MAX_READ: Final = 1_000
"""How many waiting and delayed runs are looked at."""
PAGE = 500
"""How many definitions are asked for in one round trip."""


def find_names(database: Database) -> Iterator[str]:
    """Yield the names of the jobs of one shard, in no order; a definition that cannot be read has none."""
    keys = database.keys
    registered = read_members(keys.due, database.read("ZRANGE", keys.due, 0, -1), [])
    for start in range(0, len(registered), PAGE):
        for definition in database.read_all(
            [("HGET", keys.job(job), "definition") for job in registered[start : start + PAGE]]
        ):
            if name := _read_name(definition):
                yield name


def read_names(database: Database, job_ids: Sequence[str]) -> dict[str, str]:
    """Return the names of jobs of one shard by their ids; the id for one whose definition cannot be read."""
    found: dict[str, str] = {}
    for start in range(0, len(job_ids), PAGE):
        part = job_ids[start : start + PAGE]
        definitions = database.read_all([("HGET", database.keys.job(job), "definition") for job in part])
        found |= {job: _read_name(raw) or job for job, raw in zip(part, definitions, strict=True)}
    return found


def read_named(namespace: Namespace, names: Sequence[str]) -> list[JobSummary]:
    """Return the summaries of jobs, in the order of their names; a job that was removed meanwhile is left out."""
    by_shard: dict[Database, list[str]] = {}
    for name in names:
        by_shard.setdefault(namespace.for_job(ids.job_id(name)), []).append(ids.job_id(name))
    found: list[JobSummary] = []
    for database, jobs in by_shard.items():
        for start in range(0, len(jobs), PAGE):
            found += find_summaries(database, jobs[start : start + PAGE])
    return sorted(found, key=lambda summary: summary.name)


def find_task_names(namespace: Namespace) -> set[str]:
    """Return the tasks of which a run or a job is on record.

    Looks at all jobs, at the ends of the last 31 days, and at the first 1,000 runs that wait or are delayed.
    """
    shards = namespace.shards
    today = namespace.clock.now_ms() // DAY_MS
    ended = (counts for _, counts in read_day_counts(shards, range(today - COUNTED_DAYS + 1, today + 1)))
    found = {field.rpartition(" ")[2] for counts in ended for field in counts}
    found |= {each.handler for each in list_entries(shards, limit=MAX_READ)}
    found |= {each.handler for each in list_delayed(shards, MAX_READ)}
    return found | {task.handler for job in _read_jobs(namespace) for task in job.tasks}


def find_limit_names(namespace: Namespace) -> set[str]:
    """Return the limits that runs count under, or that runs are held by; without the value of their key."""
    keys = [database.keys for database in namespace.shards]
    used = [database.read("HKEYS", each.limits) for database, each in zip(namespace.shards, keys, strict=True)]
    held = [database.read("ZRANGE", each.holds, 0, -1) for database, each in zip(namespace.shards, keys, strict=True)]
    return {to_text(name).partition(":")[0] for answer in (*used, *held) for name in answer}


def _read_jobs(namespace: Namespace) -> list[Job]:
    found: list[Job] = []
    for database in namespace.shards:
        keys = database.keys
        registered = read_members(keys.due, database.read("ZRANGE", keys.due, 0, -1), [])
        for start in range(0, len(registered), PAGE):
            page = registered[start : start + PAGE]
            answers = database.read_all([read_command(keys, job) for job in page])
            stored = [read_job(keys, job, answer) for job, answer in zip(page, answers, strict=True)]
            found += [each.job for each in stored if isinstance(each, StoredJob)]
    return found


def _read_name(definition: bytes | None) -> str:
    if definition is None:
        return ""
    try:
        return decode_job_name(definition)
    except READ_ERRORS:
        return ""
