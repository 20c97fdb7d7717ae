"""Retire: cancel what still runs under earlier versions of a job, after an immediate update."""

from __future__ import annotations

from jobistemer.store.database import Database
from jobistemer.store.halting import cancel_occurrence
from jobistemer.store.versions import live_versions


def retire(database: Database, job_id: str, version: int) -> int:
    """Cancel the occurrences of a job that are pinned to versions before `version`; how many were not at their end.

    Any number of tickers may do it, as often as they like: cancelling twice is cancelling once.
    """
    earlier = [each for each, pinned in live_versions(database, job_id).items() if pinned < version]
    # Those that wait come first: the end of one that runs would start the next.
    for occurrence in reversed(earlier):
        cancel_occurrence(database, occurrence, f"version {version} of its job took over at once")
    return len(earlier)
