"""Registers many jobs at once, hundreds in a round trip, decided up to an instant of one's choice."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from jobistemer.core.jobs.job import Job, fingerprint
from jobistemer.core.planning.plan import first_due
from jobistemer.store.calls import jobs
from jobistemer.store.database import Database

BATCH = 500


def register_all(database: Database, definitions: Iterable[Job], cursor: int) -> None:
    """Register new jobs whose instants up to `cursor` (Unix seconds) count as decided."""
    now_ms = database.read_clock()
    waiting = iter(definitions)
    while batch := list(islice(waiting, BATCH)):
        calls = [jobs.register(database.keys, _build_registration(job, cursor, now_ms)) for job in batch]
        words = {reply.word for reply in database.call_all(calls)}
        assert words == {"CREATED"}, words


def _build_registration(job: Job, cursor: int, now_ms: int) -> jobs.JobRegistration:
    return jobs.JobRegistration(job, fingerprint(job), 0, cursor, first_due(job, cursor), now_ms, by="benchmark")
