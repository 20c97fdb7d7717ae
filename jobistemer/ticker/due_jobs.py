"""Read the definitions of jobs that are due soon, each by itself: one that cannot be read holds up no other."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence

from jobistemer.control.put_aside import put_aside_and_log
from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.planning.plan import first_due
from jobistemer.core.unreadable import LAST_MS, Unreadable
from jobistemer.runtime.log_limit import log_limited
from jobistemer.runtime.logging import facts
from jobistemer.store.calls import jobs
from jobistemer.store.calls.jobs import StoredJob
from jobistemer.store.database import Database
from jobistemer.ticker.upcoming import DueJob

JOBS_PER_READ = 500
"""How many definitions one round trip reads."""

log = logging.getLogger("jobistemer.ticker")


def read_due_jobs(database: Database, job_ids: Sequence[str], marks: Mapping[str, int]) -> Iterator[DueJob]:
    """Yield the jobs that can be read. marks: the due mark (ms) of each of them."""
    for start in range(0, len(job_ids), JOBS_PER_READ):
        part = job_ids[start : start + JOBS_PER_READ]
        answers = database.ask_all([jobs.read_command(database.keys, job_id) for job_id in part])
        for job_id, answer in zip(part, answers, strict=True):
            stored = jobs.read_job(database.keys, job_id, answer)
            if isinstance(stored, Unreadable):
                # It stays where it is: a ticker of a newer version may be able to read it, and a deploy replaces it.
                text, cause = "job %s has a definition that this ticker cannot read: %s", f"definition {job_id}"
                log_limited(log, logging.ERROR, cause, text, job_id, stored.reason, extra=facts(job=job_id))
            elif stored is None:
                _put_orphan_aside(database, job_id)
            else:
                yield DueJob(job_id, stored, _find_mark(database, stored, marks[job_id]))


def _put_orphan_aside(database: Database, job_id: str) -> None:
    """Take a member out of the due set that no job has; one that was removed meanwhile is not there any more."""
    if (found := jobs.find_due_member(database, job_id)) is not None:
        put_aside_and_log(database, [found], [database.keys.job(job_id)])


def _find_mark(database: Database, stored: StoredJob, mark: int) -> int:
    """Return the due mark of a job; for an infinite score the next instant, which is stored."""
    if 0 < mark < LAST_MS:
        return mark
    try:
        mark = first_due(stored.job, stored.cursor) * 1000
    except InvalidSchedule:
        return mark
    jobs.set_due_mark(database, stored.job.id, mark)
    return mark
