"""Update a job: let a new definition take over so that every instant is decided by exactly one of the two.

Instants that the old schedule has left undecided are decided first, under the old version, with the calls that tickers
use. When that has to wait (catching up is paced, or the update waits for its window) the new version is put off, and a
ticker registers it: `update_job` and `apply_pending` are the same steps, taken by different roles.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

import msgspec

from jobistemer.core.errors import InvalidSchedule, JobistemerError, ServerRefused, StaleDefinition
from jobistemer.core.jobs.job import Job, Update, decode_job, fingerprint
from jobistemer.core.jobs.versions import (
    choose_apply_ms,
    find_forgettable,
    find_opening_ms,
    find_superseded,
)
from jobistemer.core.planning.plan import first_due, plan
from jobistemer.core.schedules import Interval, anchored
from jobistemer.core.states import OccurrenceState
from jobistemer.core.unreadable import Unreadable
from jobistemer.store.actions.quarantine import try_put_keys_aside
from jobistemer.store.actions.replace_unreadable import clear_unreadable
from jobistemer.store.calls import chores, jobs, occurrences
from jobistemer.store.calls.job_versions import FIELDS_KEPT, find_pinned_versions, find_versions, find_versions_of
from jobistemer.store.calls.jobs import StoredJob
from jobistemer.store.database import Database
from jobistemer.store.scripts import ScriptCall

TRIES = 5
"""How often an update is tried again when another caller changes the same job at the same time."""
DECISIONS_PER_ROUND = 100
MAX_ROUNDS = 20
"""A longer backlog is left to a ticker: the caller, such as a deployment, must not wait for it."""
PATIENCE_MS = 1_000
"""A backlog that catching up would pace over less than this is decided at once."""
VERSIONS_AT_ONCE = 100
"""The versions of so many jobs are read in one round trip."""
RETRY_MS = 1_000
"""After so long a ticker looks again whether an update that waits for the backlog can be applied."""


class Apply(StrEnum):
    """How far a registration goes against what is registered.

    at_start: a process registers what it declares when it starts, so a definition that another one has replaced stays
    replaced. as_said: a person or a pipeline says what holds from now on, be it what an earlier version was. now: the
    same, and outside of an update window too.
    """

    AT_START = "at_start"
    AS_SAID = "as_said"
    NOW = "now"


class UpdateResult(NamedTuple):
    """The result of an update: CREATED, CHANGED, UNCHANGED, POSTPONED or OLDER, and the version that is current."""

    word: str
    version: int


class Author(NamedTuple):
    """The author of an update: a person, for the audit list, and the app that declares the job."""

    by: str = ""
    owner: str = ""


def update_job(
    database: Database, job: Job, author: Author, *, declared_fingerprint: str = "", apply: Apply = Apply.AS_SAID
) -> UpdateResult:
    """Register a definition, or put it off until it can take over.

    declared_fingerprint: the fingerprint of the definition as it was declared, when an anchor was added since.
    apply: what happens when another definition has replaced this one before (with `at_start` the result is OLDER, and
    nothing is written).
    Raises StaleDefinition when other callers keep changing the job at the same time.
    """
    for _ in range(TRIES):
        stored = jobs.find_job_or_reason(database, job.name)
        if isinstance(stored, Unreadable):
            clear_unreadable(database, job.id, stored, author.by)
            stored = None
        try:
            changed = _try_update(database, job, declared_fingerprint or fingerprint(job), stored, author, apply)
        except ServerRefused:
            # A key of the job has the wrong type: an update works over it, as over a definition that cannot be read.
            if not try_put_keys_aside(database, jobs.keys_of(database.keys, job.id)):
                raise
            continue
        if changed.word != "STALE":
            return changed
    raise StaleDefinition(f"job {job.name!r} is being changed by another process; look at its versions and try again")


def apply_pending(database: Database, job_id: str) -> UpdateResult | None:
    """Register the version of a job that was put off, when its time has come. Returns None when there is none."""
    stored = jobs.read_stored(database.ask(*jobs.read_command(database.keys, job_id)))
    if stored is None or not stored.pending:
        _forget_chore(database, job_id, stored)
        return None
    now_ms = database.read_clock()
    raw, by, owner = database.ask("HMGET", database.keys.job(job_id), "pending", "pending_by", "pending_owner")
    if raw is None or now_ms < stored.pending_at:
        return None
    new = _build_registration(
        database, decode_job(raw), stored.pending, stored, Author(by.decode(), owner.decode()), now_ms
    )
    opens_ms = find_opening_ms(new.job, now_ms)
    if opens_ms is not None and opens_ms > now_ms:
        # No ticker was there while its window was open: it waits for the next window.
        return _call(database, jobs.postpone(database.keys, new, opens_ms))
    if not _decide_old_schedule(database, stored, new.job, now_ms):
        chores.reschedule_chore(database, chores.update_chore(job_id), now_ms + RETRY_MS)
        return UpdateResult("POSTPONED", stored.version)
    return _call(database, jobs.register(database.keys, new))


def decide_backlog(database: Database, stored: StoredJob, now_ms: int) -> bool:
    """Decide the instants up to now under the stored version. Returns whether all of them are decided.

    Some are left when catching up at its pace takes longer than PATIENCE_MS, or when another caller has changed the job
    meanwhile. Raises NotConnected or ServerRefused.
    """
    pauses_ms = 0
    for _ in range(MAX_ROUNDS):
        try:
            decisions = plan(stored.job, stored.cursor, now_ms, DECISIONS_PER_ROUND, stored.since)
        except InvalidSchedule:
            # A custom schedule that this process does not know: its undecided instants cannot be found.
            return True
        if not decisions:
            return True
        calls = [occurrences.claim(database.keys, stored.job, stored.version, each, now_ms) for each in decisions]
        for reply in database.call_all(calls):
            if isinstance(reply, JobistemerError):
                raise reply
            if reply.word not in ("CLAIMED", "TAKEN"):
                return False
        last = decisions[-1]
        since = last.since if last.state is OccurrenceState.COMPRESSED else None
        stored = stored._replace(cursor=last.instant, since=since)
        if first_due(stored.job, last.instant) * 1000 > now_ms:
            return True
        pauses_ms += max(0, last.look_at_ms - now_ms)
        if pauses_ms >= PATIENCE_MS:
            return False
    return False


def _try_update(
    database: Database, job: Job, declared: str, stored: StoredJob | None, author: Author, apply: Apply
) -> UpdateResult:
    now_ms = database.read_clock()
    if stored is None or stored.fingerprint == declared:
        return _register_unchanged(database, job, declared, stored, author, now_ms, apply)
    if apply is Apply.AT_START and find_earlier(database, [(stored, declared)])[0] is not None:
        return UpdateResult("OLDER", stored.version)
    new = _build_registration(database, job, declared, stored, author, now_ms)
    at_ms = now_ms if apply is Apply.NOW else choose_apply_ms(job, now_ms)
    if at_ms > now_ms or not _decide_old_schedule(database, stored, new.job, now_ms):
        return _call(database, jobs.postpone(database.keys, new, at_ms))
    return _call(database, jobs.register(database.keys, new))


def _register_unchanged(
    database: Database, job: Job, declared: str, stored: StoredJob | None, author: Author, now_ms: int, apply: Apply
) -> UpdateResult:
    # Who says that the current definition holds takes back the one that waits to replace it.
    if apply is not Apply.AT_START and stored is not None and stored.pending:
        _call(database, jobs.drop_pending(database.keys, job.id, stored.version, stored.pending))
    return _call(
        database, jobs.register(database.keys, _build_registration(database, job, declared, stored, author, now_ms))
    )


def _decide_old_schedule(database: Database, stored: StoredJob, job: Job, now_ms: int) -> bool:
    # Under the same schedule the instants stay the same: the new version decides the undecided ones.
    return stored.job.schedule == job.schedule or decide_backlog(database, stored, now_ms)


def _build_registration(
    database: Database, job: Job, declared: str, stored: StoredJob | None, author: Author, now_ms: int
) -> jobs.JobRegistration:
    kept = keep_anchor(job, stored, now_ms)
    if stored is None:
        cursor = now_ms // 1000
        return jobs.JobRegistration(
            kept, declared, 0, cursor, first_due(kept, cursor), now_ms, author.by, owner=author.owner
        )
    same_schedule = stored.job.schedule == kept.schedule
    cursor = stored.cursor if same_schedule else max(now_ms // 1000, stored.cursor)
    return jobs.JobRegistration(
        kept,
        declared,
        stored.version,
        cursor,
        first_due(kept, cursor),
        now_ms,
        by=author.by,
        pending=stored.pending,
        owner=author.owner,
        retire=kept.update == Update.IMMEDIATE,
        forget=_find_unused_versions(database, stored, now_ms),
    )


def _find_unused_versions(database: Database, stored: StoredJob, now_ms: int) -> tuple[int, ...]:
    if database.ask("HLEN", database.keys.versions(stored.job.id)) <= FIELDS_KEPT:
        return ()
    found = find_versions(database, stored.job.id)
    return find_forgettable(found, find_pinned_versions(database, stored.job.id), now_ms)


def find_earlier(database: Database, definitions: Sequence[tuple[StoredJob, str]]) -> list[int | None]:
    """Find for each job the latest earlier version that had the definition of a fingerprint.

    0 when it was replaced before it was in force, None for a definition that nothing has taken the place of. The
    versions of VERSIONS_AT_ONCE jobs are read in a round trip.
    """
    earlier: list[int | None] = []
    for start in range(0, len(definitions), VERSIONS_AT_ONCE):
        part = definitions[start : start + VERSIONS_AT_ONCE]
        versions = find_versions_of(database, [stored.job.id for stored, _ in part])
        for (stored, declared), kept in zip(part, versions, strict=True):
            found = find_superseded(kept, stored.version, declared)
            earlier.append(0 if found is None and declared in stored.passed else found)
    return earlier


def keep_anchor(job: Job, stored: StoredJob | None, now_ms: int) -> Job:
    """Return the job with the anchor of its first registration, when its schedule counts from an anchor."""
    if not isinstance(job.schedule, Interval):
        return job
    at = datetime.fromtimestamp(now_ms // 1000, UTC)
    first = getattr(stored.job.schedule, "anchor", None) if stored else None
    schedule = anchored(job.schedule, first or at)
    # A copy is checked once more as a whole, which costs more than all else that is done for an unchanged job.
    return job if schedule is job.schedule else msgspec.structs.replace(job, schedule=schedule)


def _forget_chore(database: Database, job_id: str, stored: StoredJob | None) -> None:
    # The script looks once more: another caller may have put off a version just now.
    database.call(jobs.drop_pending(database.keys, job_id, stored.version if stored else 0, ""))


def _call(database: Database, call: ScriptCall) -> UpdateResult:
    reply = database.call(call)
    return UpdateResult(reply.word, reply.values[0])
