"""Start queued occurrences: let the first one in a job's queue begin once the occurrence before it has ended."""

from __future__ import annotations

import logging

from jobistemer.core.errors import NotConnected
from jobistemer.runtime.log_limit import log_limited
from jobistemer.runtime.logging import facts
from jobistemer.store.calls import jobs, occurrences
from jobistemer.store.database import Database

log = logging.getLogger("jobistemer.ticker")


def start_queued_occurrences(database: Database, job_ids: list[str]) -> int:
    """Start the next occurrence of each job. Returns how many this call started; other tickers may have been faster."""
    return sum(_try_start(database, job_id) for job_id in job_ids)


def _try_start(database: Database, job_id: str) -> bool:
    try:
        return _start_next(database, job_id)
    except NotConnected:
        raise
    except Exception as error:  # noqa: BLE001 - such as a definition that this version cannot read
        # One queue that cannot move on holds up no other.
        text, known = "the next occurrence of %s cannot be started here: %s", facts(job=job_id)
        log_limited(log, logging.ERROR, f"start {job_id}", text, job_id, error, extra=known)
        return False


def _start_next(database: Database, job_id: str) -> bool:
    first = occurrences.find_first_queued(database, job_id)
    if first is None:
        return False
    # The occurrence runs under the version that it was claimed with, whatever version is current now.
    job = None if first.version is None else jobs.find_version(database, job_id, first.version)
    if job is None or first.version is None:
        known = facts(job=job_id, occurrence=first.id)
        text = "%s waits in the queue of %s, whose definition is gone"
        log_limited(log, logging.ERROR, f"start {job_id}", text, first.id, job_id, extra=known)
        return False
    now_ms = database.clock.now_ms()
    call = occurrences.start_queued(database.keys, job, first.version, first.instant, now_ms, first.since)
    return database.call(call).word == "STARTED"
