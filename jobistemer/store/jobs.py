"""Definitions in Redis: register, look up, pause, remove."""

from __future__ import annotations

from typing import NamedTuple

from jobistemer.core import ids
from jobistemer.core.models import Job, decode_job, encode_job
from jobistemer.store.database import Command, Database
from jobistemer.store.keys import Keys
from jobistemer.store.scripts import Call, script


class StoredJob(NamedTuple):
    """A job as it is registered; `cursor` is the last instant that was decided, in Unix seconds.

    since: where compressing began, when rows were compressed into an occurrence that is still to come.
    """

    job: Job
    version: int
    fingerprint: str
    cursor: int
    paused: str
    paused_until: int
    since: int | None = None


_FIELDS = ("definition", "version", "fingerprint", "cursor", "paused", "paused_until", "since")


def read_command(keys: Keys, job_id: str) -> Command:
    """The command whose answer `read_stored` understands."""
    return ("HMGET", keys.job(job_id), *_FIELDS)


def read_stored(answer: list[bytes | None]) -> StoredJob | None:
    """The registered job in the answer to `read_command`, or None when there is none."""
    definition, version, fingerprint, cursor, paused, until, since = answer
    if definition is None or version is None or fingerprint is None or cursor is None:
        return None
    return StoredJob(
        decode_job(definition),
        int(version),
        fingerprint.decode(),
        int(cursor),
        (paused or b"").decode(),
        int(until or 0),
        None if since is None else int(since),
    )


def find_job(database: Database, name: str) -> StoredJob | None:
    """The registered job of this name, or None."""
    return read_stored(database.ask(*read_command(database.keys, ids.job_id(name))))


def find_version(database: Database, job_id: str, version: int) -> Job | None:
    """One version of a job's definition, the current or an earlier one; None when its retention is over."""
    current, definition = database.ask("HMGET", database.keys.job(job_id), "version", "definition")
    if current is None or int(current) != version:
        definition = database.ask("HGET", database.keys.versions(job_id), version)
    return decode_job(definition) if definition else None


def register(
    keys: Keys, job: Job, declared_fingerprint: str, *, seen: int, cursor: int, next_due: int, now_ms: int
) -> Call:
    """Store a job, or the next version of one; `seen` is the version that the caller decided from."""
    return script("register_job")(
        (keys.job(job.id), keys.versions(job.id), keys.history(job.id), keys.due, keys.wake),
        (job.id, job.name, encode_job(job), declared_fingerprint, seen, cursor, next_due * 1000, now_ms),
    )


def pause(keys: Keys, job_id: str, reason: str, until_ms: int) -> Call:
    """Record a job's instants as skipped from now on, until it is resumed or `until_ms` (0 for never)."""
    return script("pause_job")((keys.job(job_id),), (reason, until_ms))


def resume(keys: Keys, job_id: str) -> Call:
    """End a job's pause."""
    return script("resume_job")((keys.job(job_id),), ())


def remove(keys: Keys, stored: StoredJob) -> Call:
    """Forget a job; its history expires by itself."""
    job = stored.job
    return script("remove_job")(
        (keys.job(job.id), keys.due, keys.versions(job.id), keys.history(job.id)),
        (job.id, encode_job(job), stored.version, round(job.history_s * 1000)),
    )
