"""Calls and reads for the definitions of jobs: register, look up, pause, resume, remove."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from jobistemer.core import ids
from jobistemer.core.errors import ServerRefused, UnreadableRecord
from jobistemer.core.jobs.job import Job, decode_job
from jobistemer.core.jobs.new_job import encode_new_job
from jobistemer.core.unreadable import READ_ERRORS, Unreadable, explain, read_value
from jobistemer.store.calls.chores import update_chore
from jobistemer.store.calls.groups import UNFINISHED_KEEP_MS
from jobistemer.store.database import Command, Database
from jobistemer.store.keys import Keys
from jobistemer.store.reading import read_number
from jobistemer.store.scripts import ScriptCall, script

JOBS_PER_READ = 500
"""How many definitions one round trip reads."""


class StoredJob(NamedTuple):
    """A job as it is registered.

    cursor: the last instant that was decided, in Unix seconds. since: the cursor before the first instant of a
    compressed row whose occurrence is still to come. pending: the fingerprint of a definition that is registered at
    pending_at (ms). owner: the app that deployed the job last. passed: fingerprints of the last definitions that were
    replaced while they were put off.
    """

    job: Job
    version: int
    fingerprint: str
    cursor: int
    paused: str
    paused_until: int
    since: int | None = None
    pending: str = ""
    pending_at: int = 0
    owner: str = ""
    passed: frozenset[str] = frozenset()


_FIELDS = (
    "definition",
    "version",
    "fingerprint",
    "cursor",
    "paused",
    "paused_until",
    "since",
    "pending_mark",
    "pending_at",
    "owner",
    "passed",
)


def keys_of(keys: Keys, job_id: str) -> list[str]:
    """Return the keys that a registration reads or writes."""
    own = [keys.job(job_id), keys.versions(job_id), keys.history(job_id), keys.audit(job_id)]
    return [*own, keys.live(job_id), keys.queued(job_id), keys.due, keys.chores, keys.expected]


def read_command(keys: Keys, job_id: str) -> Command:
    """Return the command whose answer `read_stored` decodes."""
    return ("HMGET", keys.job(job_id), *_FIELDS)


def read_stored(answer: list[bytes | None], known: Mapping[bytes, Job] = MappingProxyType({})) -> StoredJob | None:
    """Decode the answer to `read_command`; None when no such job is registered. known: definitions by their JSON."""
    definition, version, fingerprint, cursor, paused, until, since, pending, pending_at, owner, passed = answer
    if definition is None or version is None or fingerprint is None or cursor is None:
        return None
    return StoredJob(
        known.get(definition) or decode_job(definition),
        int(version),
        fingerprint.decode(),
        int(cursor),
        (paused or b"").decode(),
        int(until or 0),
        None if since is None else int(since),
        (pending or b"").decode(),
        int(pending_at or 0),
        (owner or b"").decode(),
        frozenset((passed or b"").decode().split()),
    )


def read_job(keys: Keys, job_id: str, answer: list[bytes | None]) -> StoredJob | Unreadable | None:
    """Decode the answer to `read_command` as `read_stored` does; `Unreadable` for a definition that cannot be read."""
    return read_value(keys.job(job_id), read_stored, answer)


def read_jobs(
    database: Database, job_ids: Sequence[str], known: Mapping[bytes, Job] = MappingProxyType({})
) -> Iterator[tuple[str, StoredJob | Unreadable | None]]:
    """Yield jobs by their ids, hundreds read in one round trip: each as it is registered, or the reason, or None.

    known: definitions by their JSON. Raises NotConnected or ServerRefused, also for a key of the wrong type.
    """
    for start in range(0, len(job_ids), JOBS_PER_READ):
        part = job_ids[start : start + JOBS_PER_READ]
        keys = [database.keys.job(job_id) for job_id in part]
        answers = database.ask_all([("HMGET", key, *_FIELDS) for key in keys])
        for job_id, key, answer in zip(part, keys, answers, strict=True):
            try:
                yield job_id, read_stored(answer, known)
            except READ_ERRORS as error:
                yield job_id, Unreadable(key, explain(error))


def find_job_or_reason(database: Database, name: str) -> StoredJob | Unreadable | None:
    """Return the registered job of this name, or None; `Unreadable` for a definition that cannot be read."""
    job_id = ids.job_id(name)
    try:
        answer = database.ask(*read_command(database.keys, job_id))
    except ServerRefused as error:
        if "WRONGTYPE" not in str(error):
            raise
        return Unreadable(database.keys.job(job_id), "it is no hash, as the record of a job is")
    return read_job(database.keys, job_id, answer)


def find_due_member(database: Database, job_id: str) -> Unreadable | None:
    """Return the member of the due set that has this id as one that no job has; None when it is not there."""
    score = database.ask("ZSCORE", database.keys.due, job_id)
    if score is None:
        return None
    # redis-py makes a number of the score: as text it is what the server compares.
    return Unreadable(
        database.keys.due, "no job of this id is registered", job_id.encode(), repr(float(score)).encode()
    )


def set_due_mark(database: Database, job_id: str, at_ms: int) -> None:
    """Set when a job is due next, unless it is gone (XX)."""
    database.ask("ZADD", database.keys.due, "XX", at_ms, job_id)


def find_job(database: Database, name: str) -> StoredJob | None:
    """Return the registered job of this name, or None."""
    return read_stored(database.ask(*read_command(database.keys, ids.job_id(name))))


def read_resumed_ms(database: Database, job_id: str) -> int:
    """Read the ms at which a pause of the job was ended last, 0 for never."""
    return int(database.ask("HGET", database.keys.job(job_id), "resumed_at") or 0)


def find_version(database: Database, job_id: str, version: int) -> Job | None:
    """Return the definition of one version of a job, the current or an earlier one; None when its retention is over.

    Raises UnreadableRecord when it cannot be read.
    """
    # The job first: a version that is replaced between the two commands has moved to the versions, and is found there.
    (current, definition), earlier = database.read_all(
        [
            ("HMGET", database.keys.job(job_id), "version", "definition"),
            ("HGET", database.keys.versions(job_id), version),
        ]
    )
    found = definition if current is not None and read_number(current) == version else earlier
    job = read_value(database.keys.job(job_id), decode_job, found) if found else None
    if isinstance(job, Unreadable):
        # Not None: a worker of a newer version may read it, and end what runs under it as it should.
        raise UnreadableRecord(f"version {version} of {job_id} cannot be read: {job.reason}")
    return job


class JobRegistration(NamedTuple):
    """A definition that is to be registered, with the state that the caller saw and its decisions.

    seen, pending: the version and the pending fingerprint that the caller saw. cursor: the last instant that is
    decided, in Unix seconds. next_due: the next instant, in Unix seconds. by: the author, for the audit list. owner:
    the app that declares the job. retire: whether occurrences of earlier versions are cancelled. forget: versions
    that nothing refers to.
    """

    job: Job
    fingerprint: str
    seen: int
    cursor: int
    next_due: int
    now_ms: int
    by: str = ""
    pending: str = ""
    owner: str = ""
    retire: bool = False
    forget: tuple[int, ...] = ()


def register(keys: Keys, new: JobRegistration, encoded: bytes = b"") -> ScriptCall:
    """Build the call that stores a job, or the next version of one.

    encoded: the JSON of the job where `encode_new_job` has made it already.
    """
    # The id is looked up once: a deployment registers thousands of jobs.
    job, job_id, definition = new.job, new.job.id, encoded or encode_new_job(new.job)
    return script("register_job")(
        (
            keys.job(job_id),
            keys.versions(job_id),
            keys.history(job_id),
            keys.due,
            keys.chores,
            keys.wake,
            keys.audit(job_id),
            keys.expected,
        ),
        (
            job_id,
            definition,
            new.fingerprint,
            new.seen,
            new.pending,
            new.cursor,
            new.next_due * 1000,
            new.now_ms,
            new.by,
            new.owner,
            int(new.retire),
            choose_expect_by(job, new.now_ms),
            *new.forget,
        ),
    )


def choose_expect_by(job: Job, now_ms: int) -> int:
    """Return the Unix milliseconds by which a job has to complete when it is registered now; 0 for never."""
    return 0 if job.expect_within_s is None else now_ms + round(job.expect_within_s * 1000)


def postpone(keys: Keys, new: JobRegistration, at_ms: int) -> ScriptCall:
    """Build the call that puts a version off until `at_ms`."""
    job = new.job
    return script("postpone_job")(
        (keys.job(job.id), keys.chores, keys.wake),
        (update_chore(job.id), encode_new_job(job), new.fingerprint, new.seen, new.pending, at_ms, new.owner, new.by),
    )


def drop_pending(keys: Keys, job_id: str, seen: int, pending: str) -> ScriptCall:
    """Build the call that takes back a version which was put off."""
    return script("postpone_job")(
        (keys.job(job_id), keys.chores, keys.wake),
        (update_chore(job_id), "", "", seen, pending, 0, "", ""),
    )


def pause(keys: Keys, job_id: str, reason: str, until_ms: int, now_ms: int, by: str = "", note: str = "") -> ScriptCall:
    """Build the call that pauses a job: its instants are recorded as skipped until it is resumed, or `until_ms`.

    until_ms: 0 for a pause without an end.
    """
    return script("pause_job")((keys.job(job_id), keys.audit(job_id)), (reason, until_ms, now_ms, by, note))


def resume(keys: Keys, job_id: str, now_ms: int, by: str = "") -> ScriptCall:
    """Build the call that ends the pause of a job."""
    return script("resume_job")((keys.job(job_id), keys.audit(job_id)), (now_ms, by))


def record_job_change(keys: Keys, job_id: str, now_ms: int, by: str, what: str, text: str) -> ScriptCall:
    """Build the call that appends a line to the audit list of a job."""
    return script("record_job_change")((keys.job(job_id), keys.audit(job_id)), (now_ms, by, what, text))


def remove(keys: Keys, stored: StoredJob, now_ms: int, by: str = "") -> ScriptCall:
    """Build the call that forgets a job; its history and its audit list expire by themselves."""
    job = stored.job
    return script("remove_job")(
        (
            keys.job(job.id),
            keys.due,
            keys.versions(job.id),
            keys.history(job.id),
            keys.audit(job.id),
            keys.chores,
            keys.live(job.id),
            keys.queued(job.id),
        ),
        (job.id, stored.version, round(job.history_s * 1000), UNFINISHED_KEEP_MS, now_ms, by),
    )
