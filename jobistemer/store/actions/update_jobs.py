"""Update many jobs: those that are new or have not changed go hundreds in a round trip, the others one by one.

A deployment declares thousands of jobs of which few have changed since the last one. What a job needs beyond its own
record (its backlog, its versions, its window) is read for the changed ones alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

from jobistemer.core.errors import JobistemerError, ServerRefused
from jobistemer.core.jobs.job import Job, encode_job, fingerprint
from jobistemer.core.planning.plan import first_due
from jobistemer.core.unreadable import Unreadable, to_ms
from jobistemer.store.actions.update_job import Apply, Author, UpdateResult, keep_anchor, update_job
from jobistemer.store.calls import jobs
from jobistemer.store.calls.jobs import JobRegistration, StoredJob, find_job_or_reason, read_jobs
from jobistemer.store.database import Database

BATCH = 500
"""How many jobs one round trip registers: the server answers others between two of them."""
THREADS = 2
"""How many round trips are under way: while the server works on one, the next is built."""


class CheckedJob(NamedTuple):
    """A definition that may be stored, and its JSON as `encode_new_job` has made it."""

    job: Job
    encoded: bytes


def update_jobs(
    database: Database, definitions: Sequence[CheckedJob], author: Author, apply: Apply = Apply.AS_SAID
) -> Iterator[UpdateResult]:
    """Register definitions of jobs of one shard as `update_job` does; yields the result of each, in their order.

    Raises what `update_job` raises; some of the other definitions are registered then.
    """
    parts = [definitions[start : start + BATCH] for start in range(0, len(definitions), BATCH)]
    update = partial(_update_part, database, database.read_clock(), author, apply)
    # Of two definitions of one name the last holds, so they must not be under way at the same time.
    threads = THREADS if len({each.job.name for each in definitions}) == len(definitions) else 1
    if len(parts) <= THREADS or threads == 1:
        for part in parts:
            yield from update(part)
        return
    with ThreadPoolExecutor(threads) as pool:
        for results in pool.map(update, parts):
            yield from results


def read_declared(database: Database, declared: Sequence[Job]) -> list[StoredJob | Unreadable | None]:
    """Return the registered jobs of the same names as the declared ones, as `read_jobs` does.

    Most of them are what is declared, and their definitions need no decoding then.
    """
    known = {encode_job(job): job for job in declared}
    try:
        return [stored for _, stored in read_jobs(database, [job.id for job in declared], known)]
    except ServerRefused as error:
        if "WRONGTYPE" not in str(error):
            raise
        # One of them is no hash, and only that one must be named.
        return [find_job_or_reason(database, job.name) for job in declared]


def _update_part(
    database: Database, now_ms: int, author: Author, apply: Apply, part: Sequence[CheckedJob]
) -> list[UpdateResult]:
    found: list[UpdateResult | None] = [None] * len(part)
    calls, positions = [], []
    registered = _read_due(database, [job for job, _ in part])
    for position, ((job, encoded), stored) in enumerate(zip(part, registered, strict=True)):
        mark = fingerprint(job)
        if stored is not None and not _is_unchanged(stored, mark):
            continue
        if isinstance(stored, StoredJob) and author.owner in ("", stored.owner):
            found[position] = UpdateResult("UNCHANGED", stored.version)
            continue
        new = _build_registration(job, mark, stored if isinstance(stored, StoredJob) else None, author, now_ms)
        calls.append(jobs.register(database.keys, new, encoded if new.job is job else b""))
        positions.append(position)
    for position, reply in zip(positions, database.call_all(calls) if calls else (), strict=True):
        # Another caller was faster, the job has no due mark although it is registered, or a key of it has the wrong
        # type: the longer way knows what to do then.
        if not isinstance(reply, JobistemerError) and reply.word != "STALE":
            found[position] = UpdateResult(reply.word, reply.values[0])
    return [
        result or update_job(database, job, author, apply=apply) for (job, _), result in zip(part, found, strict=True)
    ]


def _read_due(database: Database, part: Sequence[Job]) -> list[StoredJob | Unreadable | None]:
    """Read the jobs that have a due mark, as every registered job has; None for the others, which are new or broken."""
    marks = _find_due_marks(database, [job.id for job in part])
    due = [job for job, mark in zip(part, marks, strict=True) if mark is not None]
    stored = iter(read_declared(database, due))
    return [None if mark is None else next(stored) for mark in marks]


def _find_due_marks(database: Database, job_ids: Sequence[str]) -> list[int | None]:
    """Read the due marks (ms) of jobs; None for a job that has none."""
    marks = database.read("ZMSCORE", database.keys.due, *job_ids)
    return [None if mark is None else to_ms(mark) for mark in marks]


def _is_unchanged(stored: StoredJob | Unreadable, mark: str) -> bool:
    """Return whether a job is as it was declared, and no other version waits to replace it."""
    return isinstance(stored, StoredJob) and stored.fingerprint == mark and not stored.pending


def _build_registration(job: Job, mark: str, stored: StoredJob | None, author: Author, now_ms: int) -> JobRegistration:
    kept = keep_anchor(job, stored, now_ms)
    seen, cursor = (stored.version, stored.cursor) if stored else (0, now_ms // 1000)
    return JobRegistration(kept, mark, seen, cursor, first_due(kept, cursor), now_ms, by=author.by, owner=author.owner)
