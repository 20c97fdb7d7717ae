"""The names of the registered jobs: they are found through the set of due instants, which has every job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jobistemer.core import ids
from jobistemer.core.jobs.job import decode_job_name
from jobistemer.core.reads.summaries import JobSummary
from jobistemer.core.unreadable import READ_ERRORS
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.store.reading import read_members
from jobistemer.store.reads.jobs import find_summaries

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


def _read_name(definition: bytes | None) -> str:
    if definition is None:
        return ""
    try:
        return decode_job_name(definition)
    except READ_ERRORS:
        return ""
