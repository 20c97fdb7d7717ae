"""Jobs at run time: register, look up, pause, resume, trigger, remove. Needs no application code."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from jobistemer.core import ids
from jobistemer.core.errors import Conflict, InvalidInput, StaleDefinition, UnknownJob
from jobistemer.core.models import Job, fingerprint
from jobistemer.core.planning import first_due
from jobistemer.core.schedules import anchored
from jobistemer.store import jobs, occurrences
from jobistemer.store.database import Database
from jobistemer.store.jobs import StoredJob
from jobistemer.store.keys import Keys
from jobistemer.store.namespace import Namespace
from jobistemer.store.scripts import Call

TRIES = 5
"""How often a change is tried again when somebody else changes the same job at the same time."""


class Registered(NamedTuple):
    """What registering did: CREATED, CHANGED or UNCHANGED, and the version that is current now."""

    job: str
    word: str
    version: int


class JobControl:
    """Control of the jobs of one namespace, effective at the next instant and kept across restarts."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace

    def register(self, job: Job) -> Registered:
        """Store a definition; an unchanged one is a no-op, a changed one becomes the next version.

        Raises StaleDefinition when others keep changing the job at the same time.
        """
        database = self._database(job.name)
        for _ in range(TRIES):
            stored = jobs.find_job(database, job.name)
            reply = database.call(self._registration(database, job, stored))
            if reply.word != "STALE":
                return Registered(job.name, reply.word, reply.values[0])
        raise StaleDefinition(f"job {job.name!r} is being changed by somebody else; look at its versions and try again")

    def find(self, name: str) -> StoredJob:
        """The registered job. Raises UnknownJob."""
        stored = jobs.find_job(self._database(name), name)
        if stored is None:
            raise UnknownJob(f"no job {name!r} is registered in namespace {self._namespace.name!r}; deploy it first")
        return stored

    def pause(self, name: str, note: str = "", until: datetime | None = None) -> None:
        """Record the job's instants as skipped from now on. Raises UnknownJob or InvalidInput."""
        if until is not None and until.tzinfo is None:
            raise InvalidInput(f"until is {until!r}, which has no time zone")
        reason = f"paused: {note}" if note else "paused"
        until_ms = round(until.timestamp() * 1000) if until else 0
        self._changed(
            name,
            self._database(name).call(jobs.pause(self._keys(name), ids.job_id(name), reason, until_ms)).word,
        )

    def resume(self, name: str) -> None:
        """End the pause. Raises UnknownJob."""
        self._changed(name, self._database(name).call(jobs.resume(self._keys(name), ids.job_id(name))).word)

    def remove(self, name: str) -> None:
        """Forget the job; what runs ends, and its history expires by itself. Raises UnknownJob or Conflict."""
        if self._database(name).call(jobs.remove(self._keys(name), self.find(name))).word == "STALE":
            raise Conflict(f"job {name!r} was changed or removed at the same time; look again")

    def trigger(self, name: str) -> tuple[str, str]:
        """Fire the job now, beside its schedule; the occurrence's id and its state. Raises UnknownJob or Conflict.

        The overlap policy applies: the state may be skipped or queued.
        """
        stored, database = self.find(name), self._database(name)
        now = database.read_clock()
        for instant in range(now // 1000, now // 1000 - 60, -1):
            call = occurrences.claim_extra(database.keys, stored.job, stored.version, instant, now, "triggered by hand")
            reply = database.call(call)
            if reply.word == "CLAIMED":
                return ids.occurrence_id(stored.job.id, instant), reply.values[0].decode()
            if reply.word == "STALE":
                raise Conflict(f"job {name!r} was changed at the same time; trigger it again")
        raise Conflict(f"job {name!r} was triggered in each of the last 60 seconds; wait a moment")

    def is_paused(self, name: str) -> bool:
        """Whether instants are recorded as skipped at present. Raises UnknownJob."""
        stored = self.find(name)
        return bool(stored.paused) and (not stored.paused_until or stored.paused_until > self._now_ms())

    def is_active(self, name: str) -> bool:
        """Whether the schedule has an instant to come. Raises UnknownJob."""
        return self.next_run(name) is not None

    def is_enabled(self, name: str) -> bool:
        """Active and not paused. Raises UnknownJob."""
        return self.is_active(name) and not self.is_paused(name)

    def is_running(self, name: str) -> bool:
        """Whether an occurrence is live. Raises UnknownJob."""
        stored, database = self.find(name), self._database(name)
        return bool(database.ask("ZCARD", database.keys.live(stored.job.id)))

    def next_run(self, name: str) -> datetime | None:
        """The next due instant, or None. Raises UnknownJob."""
        return self.find(name).job.schedule.next_after(datetime.fromtimestamp(self._now_ms() // 1000, UTC))

    def _registration(self, database: Database, job: Job, stored: StoredJob | None) -> Call:
        now_ms = database.read_clock()
        kept = _kept_anchor(job, stored, now_ms)
        same_schedule = stored is not None and stored.job.schedule == kept.schedule
        # What the old schedule left undecided belongs to the old version; a new schedule begins now.
        cursor = stored.cursor if stored is not None and same_schedule else now_ms // 1000
        return jobs.register(
            database.keys,
            kept,
            fingerprint(job),
            seen=stored.version if stored else 0,
            cursor=cursor,
            next_due=first_due(kept, cursor),
            now_ms=now_ms,
        )

    def _changed(self, name: str, word: str) -> None:
        if word == "UNKNOWN":
            raise UnknownJob(f"no job {name!r} is registered in namespace {self._namespace.name!r}; deploy it first")

    def _database(self, name: str) -> Database:
        return self._namespace.for_id(ids.job_id(name))

    def _keys(self, name: str) -> Keys:
        return self._database(name).keys

    def _now_ms(self) -> int:
        return self._namespace.clock.now_ms()


def _kept_anchor(job: Job, stored: StoredJob | None, now_ms: int) -> Job:
    """The job with the anchor of its first registration, where its schedule counts from one."""
    at = datetime.fromtimestamp(now_ms // 1000, UTC)
    first = getattr(stored.job.schedule, "anchor", None) if stored else None
    return msgspec.structs.replace(job, schedule=anchored(job.schedule, first or at))
