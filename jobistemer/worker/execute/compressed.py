"""Compressed: which instants a run stands for, computed from the definition that it is pinned to."""

from __future__ import annotations

from datetime import datetime

from jobistemer.core.errors import UnknownJob
from jobistemer.core.planning.recovery import covered_instants
from jobistemer.core.runs.message import TaskRef
from jobistemer.store.calls import jobs
from jobistemer.store.database import Database


def find_covered_instants(database: Database, slot: TaskRef | None) -> tuple[datetime, ...]:
    """The instants that the run of a slot stands for; asks the server only for a compressed one. Raises UnknownJob."""
    if slot is None or slot.since is None:
        return ()
    job = jobs.find_version(database, slot.job, slot.version)
    if job is None:
        raise UnknownJob(
            f"{slot.occurrence} is compressed, and version {slot.version} of {slot.job}, which says what it stands "
            "for, is gone: the job was removed longer ago than its history is kept",
        )
    return covered_instants(job, slot.since, slot.due)
