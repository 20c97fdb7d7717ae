"""What is ended because something newer takes its place: a version of the job, or a later occurrence."""

from __future__ import annotations

from jobistemer.core import ids
from jobistemer.store.actions.cancel import cancel_run
from jobistemer.store.actions.halting import cancel_occurrence
from jobistemer.store.calls import jobs, occurrences
from jobistemer.store.calls.job_versions import find_live_versions
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys
from jobistemer.store.reads import records


def cancel_older_versions(database: Database, job_id: str, version: int) -> int:
    """Cancel the occurrences of a job that are live under versions before `version`; how many there were.

    Any number of tickers may do it, as often as they like: cancelling twice is cancelling once.
    """
    earlier = [each for each, pinned in find_live_versions(database, job_id).items() if pinned < version]
    # Those that wait come first: the end of one that runs would start the next.
    for occurrence in reversed(earlier):
        cancel_occurrence(database, occurrence, f"version {version} of its job took over at once")
    return len(earlier)


def cancel_earlier_occurrences(database: Database, job_id: str, instant: int) -> int:
    """Cancel the occurrences of a job that are due before `instant`; how many were not at their end."""
    keys, by = database.keys, ids.occurrence_id(job_id, instant)
    found = database.ask_all([("ZRANGEBYSCORE", key, "-inf", f"({instant}") for key in _unended_keys(keys, job_id)])
    earlier = [each.decode() for part in found for each in part]
    for record in records.find_occurrences(database, earlier):
        _cancel(database, job_id, record.id, record.version, f"replaced by {by}")
    return len(earlier)


def _unended_keys(keys: Keys, job_id: str) -> tuple[str, str]:
    # Those that wait come first: the end of one that runs would start the next.
    return keys.queued(job_id), keys.live(job_id)


def _cancel(database: Database, job_id: str, occurrence: str, version: int, reason: str) -> None:
    job = jobs.find_version(database, job_id, version)
    if job is None:
        return
    now_ms = database.clock.now_ms()
    history_ms = round(job.history_s * 1000)
    queued = occurrences.cancel_queued(database.keys, job_id, occurrence, now_ms, reason, history_ms)
    if database.call(queued).word == "TAKEN":
        for task in job.tasks:
            cancel_run(database, ids.run_id(occurrence, ids.task_id(job_id, task.name)), reason)
