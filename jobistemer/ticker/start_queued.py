"""Start: let the first occurrence in a job's queue begin once the earlier one has ended."""

from __future__ import annotations

import logging

from jobistemer.core.errors import NotConnected
from jobistemer.runtime.logging import facts
from jobistemer.store.calls import jobs, occurrences
from jobistemer.store.database import Database

log = logging.getLogger("jobistemer.ticker")


def start_queued_occurrences(database: Database, job_ids: list[str]) -> int:
    """Start the next occurrence of each job; how many this call started. Others may have been faster."""
    return sum(_try_start(database, job_id) for job_id in job_ids)


def _try_start(database: Database, job_id: str) -> bool:
    try:
        return _start_next(database, job_id)
    except NotConnected:
        raise
    except Exception as error:  # noqa: BLE001 - such as a definition that this version cannot read
        # One queue that cannot move on holds up no other.
        log.error("the next occurrence of %s cannot be started here: %s", job_id, error, extra=facts(job=job_id))
        return False


def _start_next(database: Database, job_id: str) -> bool:
    keys = database.keys
    waiting = database.ask("ZRANGE", keys.queued(job_id), 0, 0, "WITHSCORES")
    if not waiting:
        return False
    occurrence, instant = waiting[0].decode(), int(float(waiting[1]))
    version, since = database.ask("HMGET", keys.occurrence(occurrence), "version", "since")
    # It runs under the version that it was claimed with, whatever is current now.
    job = jobs.find_version(database, job_id, int(version)) if version else None
    if job is None:
        known = facts(job=job_id, occurrence=occurrence)
        log.error("%s waits in the queue of %s, whose definition is gone", occurrence, job_id, extra=known)
        return False
    now_ms = database.clock.now_ms()
    call = occurrences.start_queued(keys, job, int(version), instant, now_ms, None if since is None else int(since))
    return database.call(call).word == "STARTED"
