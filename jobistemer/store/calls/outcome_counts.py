"""Calls that count the outcomes of a job: failures in a row, and completions that are expected."""

from __future__ import annotations

from jobistemer.core.jobs.job import Job
from jobistemer.core.runs.message import Message, TaskRef, encode_message
from jobistemer.store.keys import Keys, place
from jobistemer.store.scripts import Call, script


def is_counted(job: Job) -> bool:
    """Return whether the job asks for its outcomes to be counted."""
    return job.pause_on_failure > 0 or job.expect_within_s is not None


def count_outcome(keys: Keys, job: Job, slot: TaskRef, now_ms: int) -> Call:
    """Build the call that counts the outcome of an occurrence when it has ended; an extension of its commits."""
    row = "" if job.pause_on_failure == 1 else f", the last of {job.pause_on_failure} in a row"
    reason = f"paused itself because {slot.occurrence} failed{row}"
    return script("count_outcome")(
        (keys.job(job.id), keys.occurrence(slot.occurrence), keys.audit(job.id), keys.expected, keys.wake),
        (job.id, job.pause_on_failure, expect_within_ms(job), now_ms, reason),
    )


def raise_alert(keys: Keys, job_id: str, seen: int, next_at: int, message: Message, now_ms: int) -> Call:
    """Build the call that reports an alert by the run of `message`, unless the mark `seen` has changed meanwhile."""
    where = place(message.queue, message.priority)
    return script("raise_alert")(
        (keys.job(job_id), keys.expected, keys.run(message.run), keys.stream(where), keys.streams),
        (job_id, seen, next_at, message.run, message.handler, where, encode_message(message), now_ms),
    )


def expect_within_ms(job: Job) -> int:
    """Return how many ms after a completion the next one is expected; 0 for a job that expects none."""
    return round((job.expect_within_s or 0) * 1000)
