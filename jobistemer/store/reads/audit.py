"""Read the full record of one job, for an audit."""

from __future__ import annotations

from typing import Final

from jobistemer.core import ids
from jobistemer.core.jobs.job import decode_job_name
from jobistemer.core.planning.audit import HistoryRow, JobHistory
from jobistemer.core.unreadable import Unreadable, read_value, to_text
from jobistemer.store.calls.job_versions import find_versions
from jobistemer.store.database import Database
from jobistemer.store.quarantine import find_wrong_types
from jobistemer.store.reading import read_members, read_number

PAGE: Final = 1_000
"""How many records are read in one round trip."""


def list_job_names(database: Database) -> tuple[list[str], dict[str, str]]:
    """Return the names of the jobs of a shard, sorted, and the reasons of those without a readable name, by id."""
    keys = database.keys
    found = read_members(keys.due, database.read("ZRANGE", keys.due, 0, -1), [])
    names: list[str] = []
    unreadable: dict[str, str] = {}
    for start in range(0, len(found), PAGE):
        page = found[start : start + PAGE]
        answers = database.read_all([("HGET", keys.job(job), "definition") for job in page])
        wrong = {each.key: each.reason for each in find_wrong_types(database, [keys.job(job) for job in page])}
        for job, definition in zip(page, answers, strict=True):
            name = read_value(keys.job(job), decode_job_name, definition) if definition is not None else None
            reason = wrong.get(keys.job(job), name.reason if isinstance(name, Unreadable) else "")
            if reason:
                unreadable[job] = reason
            elif isinstance(name, str):
                names.append(name)
    return sorted(names), unreadable


def read_job_history(database: Database, name: str) -> JobHistory:
    """Read the versions, the history and the cursor of a job; a removed job too, until its history expires."""
    job = ids.job_id(name)
    # The cursor is read before the rows: an instant that is decided in between would otherwise look like a hole.
    cursor = database.read("HGET", database.keys.job(job), "cursor")
    versions = find_versions(database, job)
    rows = _read_rows(database, job)
    return JobHistory(name, tuple(versions), tuple(rows), None if cursor is None else read_number(cursor))


def _read_rows(database: Database, job: str) -> list[HistoryRow]:
    keys = database.keys
    listed = [to_text(occurrence) for occurrence in database.read("ZRANGE", keys.history(job), 0, -1)]
    rows: list[HistoryRow] = []
    for start in range(0, len(listed), PAGE):
        page = listed[start : start + PAGE]
        answers = database.read_all([("HMGET", keys.occurrence(each), "due", "origin") for each in page])
        for occurrence, (due, origin) in zip(page, answers, strict=True):
            rows.append(HistoryRow(occurrence, None if due is None else read_number(due), to_text(origin or b"")))
    return rows
