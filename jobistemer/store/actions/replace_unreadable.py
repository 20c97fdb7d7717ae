"""Remove or replace a job whose record cannot be read, without reading it."""

from __future__ import annotations

from contextlib import suppress

from jobistemer.core.errors import ServerRefused
from jobistemer.core.unreadable import Unreadable
from jobistemer.store.actions.quarantine import put_unreadable_key_aside
from jobistemer.store.calls import jobs
from jobistemer.store.calls.chores import update_chore
from jobistemer.store.database import Database
from jobistemer.store.reading import read_number

KEEP_MS = 30 * 86_400_000
"""How long the history of a job is kept whose retention cannot be read."""


def clear_unreadable(database: Database, job_id: str, found: Unreadable, by: str) -> int:
    """Put the record of a job aside, so that the job can be registered anew; its versions go on counting.

    Returns the second up to which its instants were decided, 0 when that cannot be read.
    """
    # The line first: the script appends it only while there is a record. Where the audit list is the odd one, without.
    with suppress(ServerRefused):
        change = jobs.record_job_change(
            database.keys, job_id, database.read_clock(), by, "replaced", f"unreadable: {found.reason}"
        )
        database.call(change)
    cursor = read_number(database.read("HGET", found.key, "cursor"))
    put_unreadable_key_aside(database, found)
    return cursor


def remove_unreadable(database: Database, job_id: str, found: Unreadable, by: str) -> None:
    """Remove a job whose record cannot be read; what is left of it expires."""
    clear_unreadable(database, job_id, found, by)
    keys = database.keys
    # Should this process end here, a ticker finds a member of the due set that no job has, and puts it aside.
    database.read_all(
        [
            ("ZREM", keys.due, job_id),
            ("ZREM", keys.expected, job_id),
            ("ZREM", keys.chores, update_chore(job_id)),
            *(("PEXPIRE", key, KEEP_MS) for key in (keys.versions(job_id), keys.history(job_id), keys.audit(job_id))),
        ]
    )
