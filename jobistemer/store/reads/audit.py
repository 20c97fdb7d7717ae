"""Read everything that is on record of one job, for an audit."""

from __future__ import annotations

from jobistemer.core import ids
from jobistemer.core.jobs.job import name_in
from jobistemer.core.planning.audit import Ledger, Row
from jobistemer.store.calls.job_versions import find_versions
from jobistemer.store.database import Database

PAGE = 1_000


def job_names(database: Database) -> list[str]:
    """The names of the jobs that are registered in a shard."""
    found = [job.decode() for job in database.ask("ZRANGE", database.keys.due, 0, -1)]
    definitions: list[bytes | None] = []
    for start in range(0, len(found), PAGE):
        page = found[start : start + PAGE]
        definitions += database.ask_all([("HGET", database.keys.job(job), "definition") for job in page])
    return sorted(name_in(each) for each in definitions if each is not None)


def read_ledger(database: Database, name: str) -> Ledger:
    """All that is on record of a job, also of one that was removed and whose history has not expired."""
    job = ids.job_id(name)
    # The cursor comes before the rows: what is decided while they are read must not look like a hole.
    cursor = database.ask("HGET", database.keys.job(job), "cursor")
    versions = find_versions(database, job)
    rows = _rows(database, job)
    return Ledger(name, tuple(versions), tuple(rows), None if cursor is None else int(cursor))


def _rows(database: Database, job: str) -> list[Row]:
    keys = database.keys
    listed = [occurrence.decode() for occurrence in database.ask("ZRANGE", keys.history(job), 0, -1)]
    rows: list[Row] = []
    for start in range(0, len(listed), PAGE):
        page = listed[start : start + PAGE]
        answers = database.ask_all([("HMGET", keys.occurrence(each), "due", "origin") for each in page])
        for occurrence, (due, origin) in zip(page, answers, strict=True):
            rows.append(Row(occurrence, None if due is None else int(due), (origin or b"").decode()))
    return rows
