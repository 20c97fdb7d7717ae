"""Jobs at run time: register, look up, pause, resume, trigger, remove. Needs no application code."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from jobistemer.core import ids
from jobistemer.core.diff import Difference, difference
from jobistemer.core.errors import Conflict, InvalidInput, UnknownJob, UnknownVersion
from jobistemer.core.models import Job
from jobistemer.core.records import Change
from jobistemer.core.versions import Version
from jobistemer.runtime.identity import user_name
from jobistemer.store import jobs, occurrences
from jobistemer.store.changing import Author, change, settle
from jobistemer.store.database import Database
from jobistemer.store.jobs import StoredJob
from jobistemer.store.namespace import Namespace
from jobistemer.store.trimming import trim_step
from jobistemer.store.versions import find_versions

LONGEST_PERSON = 100

class Registered(NamedTuple):
    """What registering did, and the version that is current now.

    word: CREATED, CHANGED, UNCHANGED, POSTPONED until it can take over, or OLDER than what is registered.
    """

    job: str
    word: str
    version: int


class JobControl:
    """Control of the jobs of one namespace, effective at the next instant and kept across restarts.

    by: who is at it, which stands in each job's audit stream; by default the user of this process and its host.
    Raises InvalidInput for a name that is too long or cannot be printed.
    """

    def __init__(self, namespace: Namespace, by: str | None = None) -> None:
        self._namespace = namespace
        self._by = _checked_person(by) if by is not None else user_name()

    def register(self, job: Job, *, owner: str = "", force: bool = False) -> Registered:
        """Store a definition; an unchanged one is a no-op, a changed one becomes the next version.

        owner: the app that declares it. A definition that another version has replaced before stays replaced (OLDER),
        so that an old process that starts once more undoes nothing; force brings it back.
        Raises StaleDefinition when others keep changing the job at the same time.
        """
        changed = change(self._database(job.name), job, Author(self._by, owner), force=force)
        return Registered(job.name, changed.word, changed.version)

    def versions(self, name: str) -> list[Version]:
        """The versions of a job that are kept, the earliest first. Raises UnknownJob."""
        self.find(name)
        return find_versions(self._database(name), ids.job_id(name))

    def diff(self, name: str, a: int, b: int) -> Difference:
        """What version `b` of a job has otherwise than version `a`. Raises UnknownJob or UnknownVersion."""
        first, second = (self._version(name, number).job for number in (a, b))
        return difference(first, second, self._now_ms() // 1000)

    def rollback(self, name: str, version: int) -> Registered:
        """Make the definition of an earlier version the next one. Raises UnknownJob or UnknownVersion.

        Rolling back to the current one takes back a change that is put off.
        """
        chosen = self._version(name, version)
        author = Author(self._by)
        changed = change(self._database(name), chosen.job, author, mark=chosen.fingerprint, force=True)
        return Registered(name, changed.word, changed.version)

    def find(self, name: str) -> StoredJob:
        """The registered job. Raises UnknownJob."""
        stored = jobs.find_job(self._database(name), name)
        if stored is None:
            raise UnknownJob(f"no job {name!r} is registered in namespace {self._namespace.name!r}; deploy it first")
        return stored

    def pause(self, name: str, note: str = "", until: datetime | None = None) -> None:
        """Record the job's instants as skipped from now on. Raises UnknownJob or InvalidInput."""
        database = self._database(name)
        now_ms = database.read_clock()
        until_ms = _pause_end(until, now_ms)
        reason = f"paused by {self._by}" + (f": {note}" if note else "")
        told = f"until {until.isoformat()}: {note}".removesuffix(": ") if until else note
        call = jobs.pause(database.keys, ids.job_id(name), reason, until_ms, now_ms, self._by, told)
        self._changed(name, database.call(call).word)

    def resume(self, name: str) -> None:
        """End the pause. Raises UnknownJob."""
        database = self._database(name)
        call = jobs.resume(database.keys, ids.job_id(name), database.read_clock(), self._by)
        self._changed(name, database.call(call).word)

    def remove(self, name: str) -> None:
        """Forget the job; what runs ends, and its history expires by itself. Raises UnknownJob or Conflict."""
        database = self._database(name)
        settle(database, self.find(name), database.read_clock())
        if database.call(jobs.remove(database.keys, self.find(name), database.read_clock(), self._by)).word == "STALE":
            raise Conflict(f"job {name!r} was changed or removed at the same time; look again")

    def trigger(self, name: str) -> tuple[str, str]:
        """Fire the job now, beside its schedule; the occurrence's id and its state. Raises UnknownJob or Conflict.

        The overlap policy applies: the state may be skipped or queued.
        """
        stored, database = self.find(name), self._database(name)
        now = database.read_clock()
        for instant in range(now // 1000, now // 1000 - 60, -1):
            reason = f"triggered by {self._by}"
            call = occurrences.claim_extra(database.keys, stored.job, stored.version, instant, now, reason)
            reply = database.call(call)
            if reply.word == "CLAIMED":
                occurrence = ids.occurrence_id(stored.job.id, instant)
                # The occurrence says itself who triggered it, so nothing is lost should this not be noted any more.
                database.call(jobs.note(database.keys, stored.job.id, now, self._by, "triggered", occurrence))
                # Tickers trim what they have made longer themselves.
                trim_step(database, stored.job)
                return occurrence, reply.values[0].decode()
            if reply.word == "STALE":
                raise Conflict(f"job {name!r} was changed at the same time; trigger it again")
        raise Conflict(f"job {name!r} was triggered in each of the last 60 seconds; wait a moment")

    def log(self, name: str, limit: int = 100) -> list[Change]:
        """Who did what to the job and when, the latest first; of a removed one as long as its history is kept."""
        return jobs.read_audit(self._database(name), ids.job_id(name), limit)

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

    def _version(self, name: str, number: int) -> Version:
        kept = self.versions(name)
        found = next((each for each in kept if each.number == number), None)
        if found is None:
            known = ", ".join(str(each.number) for each in kept)
            raise UnknownVersion(f"job {name!r} has no version {number} on record; there are {known}")
        return found

    def _changed(self, name: str, word: str) -> None:
        if word == "UNKNOWN":
            raise UnknownJob(f"no job {name!r} is registered in namespace {self._namespace.name!r}; deploy it first")

    def _database(self, name: str) -> Database:
        return self._namespace.for_id(ids.job_id(name))

    def _now_ms(self) -> int:
        return self._namespace.clock.now_ms()


def _pause_end(until: datetime | None, now_ms: int) -> int:
    if until is None:
        return 0
    if until.tzinfo is None:
        raise InvalidInput(f"until is {until!r}, which has no time zone; say which, such as {until.isoformat()}+00:00")
    until_ms = round(until.timestamp() * 1000)
    if until_ms <= now_ms:
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        raise InvalidInput(
            f"until is {until.isoformat()}, which is over: it is {now:%Y-%m-%dT%H:%M:%SZ} by the server's clock; "
            "name a later instant, or none for a pause without an end",
        )
    return until_ms


def _checked_person(by: str) -> str:
    if not 1 <= len(by) <= LONGEST_PERSON or not by.isprintable():
        raise InvalidInput(f"by is {by!r}; a name has 1–{LONGEST_PERSON} printable characters")
    return by
