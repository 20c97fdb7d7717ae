"""Update many jobs: what is new, unchanged or plainly changed goes hundreds in a round trip, the others one by one.

A deployment declares thousands of jobs of which few have changed since the last one. What a job needs beyond its own
record (its backlog, its versions, its window) is read for the changed ones alone.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from typing import Final, TypeVar

from jobistemer.core.errors import JobistemerError, ServerRefused
from jobistemer.core.jobs.job import Update
from jobistemer.core.jobs.new_job import DeclaredJob, encode_new_job
from jobistemer.core.planning.plan import first_due
from jobistemer.core.unreadable import Unreadable, to_ms
from jobistemer.store.actions.update_job import Apply, Author, UpdateResult, keep_anchor, update_job
from jobistemer.store.calls import jobs
from jobistemer.store.calls.bulk_register import MAX_JOBS_PER_CALL, NewJob, register_new
from jobistemer.store.calls.job_versions import FIELDS_KEPT
from jobistemer.store.calls.jobs import JobRegistration, StoredJob, find_job_or_reason, read_jobs
from jobistemer.store.database import Database

BATCH = 500
"""How many jobs one round trip registers: the server answers others between two of them."""
THREADS = 2
"""How many round trips are under way: while the server works on one, the next is built."""
_CREATED: Final = UpdateResult("CREATED", 1)


T = TypeVar("T")


Registered = StoredJob | Unreadable | None


def read_registered(database: Database, declared: Sequence[DeclaredJob]) -> list[Registered]:
    """Read the registered jobs of the same names that have a due mark, as every job has; None for the others."""
    return [found for part in _split(declared, BATCH) for found in _read_due(database, part)]


def is_registered(stored: Registered, declared: DeclaredJob, owner: str) -> bool:
    """Return whether a job that has a due mark needs no writing: it is as declared, and belongs to this app."""
    return isinstance(stored, StoredJob) and _is_unchanged(stored, declared) and owner in ("", stored.owner)


def update_jobs(
    database: Database,
    definitions: Sequence[DeclaredJob],
    registered: Sequence[Registered],
    author: Author,
    apply: Apply = Apply.AS_SAID,
) -> Generator[UpdateResult, None, None]:
    """Register definitions of jobs of one shard as `update_job` does; yields the result of each, in their order.

    registered: what `read_registered` has found. `encode_new_job` has to have checked the others.
    Raises what `update_job` raises; some of the other definitions are registered then.
    """
    # Of two definitions of one name the last holds: the first one goes with the others, the next one when that is done.
    first: dict[str, int] = {}
    for position, each in enumerate(definitions):
        first.setdefault(each.id, position)
    places = first.values()
    results = _update_distinct(
        database, [definitions[each] for each in places], [registered[each] for each in places], author, apply
    )
    for position, each in enumerate(definitions):
        is_first = first[each.id] == position
        yield next(results) if is_first else update_job(database, each.job, author, apply=apply)


def _update_distinct(
    database: Database,
    definitions: Sequence[DeclaredJob],
    registered: Sequence[Registered],
    author: Author,
    apply: Apply,
) -> Iterator[UpdateResult]:
    update = partial(_update_part, database, database.read_clock(), author, apply)
    parts, known = _split(definitions, BATCH), _split(registered, BATCH)
    if len(parts) <= THREADS:
        yield from chain.from_iterable(map(update, parts, known))
        return
    with ThreadPoolExecutor(THREADS) as pool:
        yield from chain.from_iterable(pool.map(update, parts, known))


def _split(values: Sequence[T], size: int) -> list[Sequence[T]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def read_declared(database: Database, declared: Sequence[DeclaredJob]) -> list[Registered]:
    """Return the registered jobs of the same names as the declared ones, as `read_jobs` does.

    Most of them are what is declared, and their definitions need no decoding then.
    """
    known = {each.encoded: each.job for each in declared}
    try:
        return [stored for _, stored in read_jobs(database, [each.id for each in declared], known)]
    except ServerRefused as error:
        if "WRONGTYPE" not in str(error):
            raise
        # One of them is no hash, and only that one must be named.
        return [find_job_or_reason(database, each.job.name) for each in declared]


def _update_part(
    database: Database,
    now_ms: int,
    author: Author,
    apply: Apply,
    part: Sequence[DeclaredJob],
    registered: Sequence[Registered],
) -> list[UpdateResult]:
    found: dict[int, UpdateResult] = {}
    new: list[int] = []
    known: dict[int, StoredJob | None] = {}
    changed: dict[int, StoredJob] = {}
    for position, (declared, stored) in enumerate(zip(part, registered, strict=True)):
        if stored is None:
            new.append(position)
        elif isinstance(stored, StoredJob) and _is_unchanged(stored, declared):
            if is_registered(stored, declared, author.owner):
                found[position] = UpdateResult("UNCHANGED", stored.version)
            else:
                known[position] = stored
        elif isinstance(stored, StoredJob) and _is_replaced_at_once(declared, stored, apply):
            changed[position] = stored
    found |= _register_new(database, now_ms, author, part, new)
    # Another caller was faster, a job that was removed comes back, or a job that is registered has no due mark.
    known |= dict.fromkeys((each for each in new if each not in found), None)
    known |= _leave_long_lived(database, part, changed)
    found |= _register_known(database, now_ms, author, part, known)
    return [
        found.get(position) or update_job(database, declared.job, author, apply=apply)
        for position, declared in enumerate(part)
    ]


def _register_new(
    database: Database, now_ms: int, author: Author, part: Sequence[DeclaredJob], positions: Sequence[int]
) -> dict[int, UpdateResult]:
    """Register jobs of which nothing was found. Returns the results by position, without those that are not new."""
    bundles = _split(positions, MAX_JOBS_PER_CALL)
    calls = [
        register_new(database.keys, [_build_new(part[each], now_ms) for each in bundle], now_ms, *author)
        for bundle in bundles
    ]
    found: dict[int, UpdateResult] = {}
    for bundle, reply in zip(bundles, database.call_all(calls) if calls else (), strict=True):
        if not isinstance(reply, JobistemerError):
            left = {bundle[number - 1] for number in reply.values[0]}
            found |= dict.fromkeys((each for each in bundle if each not in left), _CREATED)
    return found


def _register_known(
    database: Database,
    now_ms: int,
    author: Author,
    part: Sequence[DeclaredJob],
    known: Mapping[int, StoredJob | None],
) -> dict[int, UpdateResult]:
    """Register jobs one by one in a round trip. Returns the results by position, without those that need more."""
    calls = []
    for position, stored in known.items():
        declared = part[position]
        new = _build_registration(declared, stored, author, now_ms)
        calls.append(jobs.register(database.keys, new, declared.encoded if new.job is declared.job else b""))
    replies = database.call_all(calls) if calls else ()
    return {
        position: UpdateResult(reply.word, reply.values[0])
        for position, reply in zip(known, replies, strict=True)
        # It was changed, or a key of it has the wrong type: the longer way knows what to do then.
        if not isinstance(reply, JobistemerError) and reply.word != "STALE"
    }


def _is_replaced_at_once(declared: DeclaredJob, stored: StoredJob, apply: Apply) -> bool:
    """Return whether a changed definition takes over with nothing to decide or to look up before."""
    job = declared.job
    is_plain = stored.fingerprint != declared.fingerprint and job.update is not Update.WINDOWED
    # The interval of a job counts from the anchor of its first registration: the longer way keeps it.
    return is_plain and apply is not Apply.AT_START and stored.job.schedule == job.schedule


def _leave_long_lived(
    database: Database, part: Sequence[DeclaredJob], changed: Mapping[int, StoredJob]
) -> dict[int, StoredJob]:
    """Return the changed jobs without those that have so many versions that some may have to be forgotten."""
    keys = database.keys
    answers = database.read_all([("HLEN", keys.versions(part[position].id)) for position in changed])
    return {
        position: stored
        for (position, stored), fields in zip(changed.items(), answers, strict=True)
        if fields <= FIELDS_KEPT
    }


def _read_due(database: Database, part: Sequence[DeclaredJob]) -> list[Registered]:
    """Read the jobs that have a due mark, as every registered job has; None for the others, which are new or broken."""
    marks = find_due_marks(database, [each.id for each in part])
    due = [each for each, mark in zip(part, marks, strict=True) if mark is not None]
    stored = iter(read_declared(database, due))
    return [None if mark is None else next(stored) for mark in marks]


def find_due_marks(database: Database, job_ids: Sequence[str]) -> list[int | None]:
    """Read the due marks (ms) of jobs; None for a job that has none."""
    marks = database.read("ZMSCORE", database.keys.due, *job_ids)
    return [None if mark is None else to_ms(mark) for mark in marks]


def _is_unchanged(stored: StoredJob | Unreadable, declared: DeclaredJob) -> bool:
    """Return whether a job is as it was declared, and no other version waits to replace it."""
    return isinstance(stored, StoredJob) and stored.fingerprint == declared.fingerprint and not stored.pending


def _build_new(declared: DeclaredJob, now_ms: int) -> NewJob:
    kept = keep_anchor(declared.job, None, now_ms)
    definition = declared.encoded if kept is declared.job else encode_new_job(kept)
    next_due = first_due(kept, now_ms // 1000)
    return NewJob(declared.id, definition, declared.fingerprint, next_due, jobs.choose_expect_by(kept, now_ms))


def _build_registration(
    declared: DeclaredJob, stored: StoredJob | None, author: Author, now_ms: int
) -> JobRegistration:
    kept, mark = keep_anchor(declared.job, stored, now_ms), declared.fingerprint
    seen, cursor = (stored.version, stored.cursor) if stored else (0, now_ms // 1000)
    return JobRegistration(
        kept,
        mark,
        seen,
        cursor,
        first_due(kept, cursor),
        now_ms,
        by=author.by,
        pending=stored.pending if stored else "",
        owner=author.owner,
        retire=stored is not None and kept.update is Update.IMMEDIATE,
    )
