"""What a ticker does about a job that it cannot use: no definition that it can read, or no due mark."""

from __future__ import annotations

import logging

from jobistemer.control.put_aside import put_aside_and_log
from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.planning.plan import first_due
from jobistemer.core.unreadable import Unreadable
from jobistemer.runtime.log_limit import log_limited
from jobistemer.runtime.logging import facts
from jobistemer.store.calls import jobs
from jobistemer.store.calls.jobs import StoredJob
from jobistemer.store.database import Database

log = logging.getLogger("jobistemer.ticker")


def repair_mark(database: Database, stored: StoredJob, mark: int) -> int:
    """Store the next instant of a job as its due mark; returns the mark, unchanged when the job has no instants."""
    try:
        mark = first_due(stored.job, stored.cursor) * 1000
    except InvalidSchedule:
        return mark
    jobs.set_due_mark(database, stored.job.id, mark)
    return mark


def report_unusable(database: Database, job_id: str, stored: Unreadable | None) -> None:
    """Say that a definition cannot be read, or put a member of the due set aside that no job has."""
    if stored is None:
        # One that was removed meanwhile is not there any more.
        if (found := jobs.find_due_member(database, job_id)) is not None:
            put_aside_and_log(database, [found], [database.keys.job(job_id)])
        return
    # It stays where it is: a ticker of a newer version may be able to read it, and a deploy replaces it.
    text, cause = "job %s has a definition that this ticker cannot read: %s", f"definition {job_id}"
    log_limited(log, logging.ERROR, cause, text, job_id, stored.reason, extra=facts(job=job_id))
