"""Compressed: which instants a run stands for, computed from the definition that it is pinned to."""

from __future__ import annotations

from datetime import datetime

from jobistemer.core.errors import UnknownJob
from jobistemer.core.planning.recovery import stood_for
from jobistemer.core.runs.message import Slot
from jobistemer.store.calls import jobs
from jobistemer.store.database import Database


def instants_of(database: Database, slot: Slot | None) -> tuple[datetime, ...]:
    """The instants that the run of a slot stands for; asks the server only for a compressed one. Raises UnknownJob."""
    if slot is None or slot.since is None:
        return ()
    job = jobs.find_version(database, slot.job, slot.version)
    if job is None:
        raise UnknownJob(
            f"{slot.occurrence} is compressed, and version {slot.version} of {slot.job}, which says what it stands "
            "for, is gone: the job was removed longer ago than its history is kept",
        )
    return stood_for(job, slot.since, slot.due)
