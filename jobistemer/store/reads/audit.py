"""Read the full record of one job, for an audit."""

from __future__ import annotations

from typing import Final

from jobistemer.core import ids
from jobistemer.core.jobs.job import decode_job_name
from jobistemer.core.planning.audit import HistoryRow, JobHistory
from jobistemer.store.calls.job_versions import find_versions
from jobistemer.store.database import Database

PAGE: Final = 1_000
"""How many records are read in one round trip."""


def list_job_names(database: Database) -> list[str]:
    """Return the names of the jobs that are registered in a shard, sorted."""
    found = [job.decode() for job in database.ask("ZRANGE", database.keys.due, 0, -1)]
    definitions: list[bytes | None] = []
    for start in range(0, len(found), PAGE):
        page = found[start : start + PAGE]
        definitions += database.ask_all([("HGET", database.keys.job(job), "definition") for job in page])
    return sorted(decode_job_name(each) for each in definitions if each is not None)


def read_job_history(database: Database, name: str) -> JobHistory:
    """Read the versions, the history and the cursor of a job; a removed job too, until its history expires."""
    job = ids.job_id(name)
    # The cursor is read before the rows: an instant that is decided in between would otherwise look like a hole.
    cursor = database.ask("HGET", database.keys.job(job), "cursor")
    versions = find_versions(database, job)
    rows = _read_rows(database, job)
    return JobHistory(name, tuple(versions), tuple(rows), None if cursor is None else int(cursor))


def _read_rows(database: Database, job: str) -> list[HistoryRow]:
    keys = database.keys
    listed = [occurrence.decode() for occurrence in database.ask("ZRANGE", keys.history(job), 0, -1)]
    rows: list[HistoryRow] = []
    for start in range(0, len(listed), PAGE):
        page = listed[start : start + PAGE]
        answers = database.ask_all([("HMGET", keys.occurrence(each), "due", "origin") for each in page])
        for occurrence, (due, origin) in zip(page, answers, strict=True):
            rows.append(HistoryRow(occurrence, None if due is None else int(due), (origin or b"").decode()))
    return rows
