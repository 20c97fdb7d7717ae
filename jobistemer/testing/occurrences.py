"""The occurrences of a job as tests see them: one for each due instant, with its state and the reason."""

from __future__ import annotations

from datetime import datetime

import msgspec

from jobistemer.app import Jobistemer
from jobistemer.core import ids
from jobistemer.core.runs.records import OccurrenceRecord
from jobistemer.core.states import OccurrenceState
from jobistemer.store.reads.jobs import list_history
from jobistemer.testing.times import to_datetime

MAX_OCCURRENCES = 1_000_000


class Occurrence(msgspec.Struct, frozen=True):
    """One due instant of a job.

    at: the due instant. late_s: the seconds from there to the decision. reason: why it ran, or why it did not.
    origin: its cause when it is not the clock, such as a backfill.
    `app.report(occurrence.id)` has its tasks, with their attempts and errors.
    """

    id: str
    job: str
    at: datetime
    state: OccurrenceState
    reason: str
    late_s: float
    error: str
    origin: str


def list_occurrences(app: Jobistemer, job: str) -> list[Occurrence]:
    """Read the occurrences of a job that are on record, in the order of their instants."""
    job_id = ids.job_id(job)
    found = list_history(app.namespace.for_job(job_id), job_id, 0, MAX_OCCURRENCES)
    return [_build_occurrence(job, each) for each in sorted(found, key=lambda each: (each.due, each.claimed_at))]


def _build_occurrence(job: str, record: OccurrenceRecord) -> Occurrence:
    return Occurrence(
        id=record.id,
        job=job,
        at=to_datetime(record.due * 1000),
        state=record.state,
        reason=record.reason,
        late_s=record.late_ms / 1000,
        error=record.error,
        origin=record.origin,
    )
