"""The definitions of jobs: stored in versions, compared, rolled back. Needs no application code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jobistemer.core import ids
from jobistemer.core.errors import InvalidInput, UnknownJob, UnknownVersion
from jobistemer.core.jobs.job import Job
from jobistemer.core.jobs.versions import Version
from jobistemer.core.planning.diff import Difference, diff_jobs
from jobistemer.runtime.process_info import user_name
from jobistemer.store.actions.update_job import Author, update_job
from jobistemer.store.calls import jobs
from jobistemer.store.calls.job_versions import find_versions
from jobistemer.store.calls.jobs import StoredJob
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace

MAX_PERSON_LENGTH = 100


class Registration(NamedTuple):
    """What registering did, and the version that is current now.

    word: CREATED, CHANGED, UNCHANGED, POSTPONED until it can take over, or OLDER than what is registered.
    """

    job: str
    word: str
    version: int


class JobDefinitions:
    """The definitions of the jobs of one namespace.

    by: who is at it, which stands in each job's audit list; by default the user of this process and its host.
    Raises InvalidInput for a name that is too long or cannot be printed.
    """

    def __init__(self, namespace: Namespace, by: str | None = None) -> None:
        self._namespace = namespace
        self._by = _check_person(by) if by is not None else user_name()

    def register(self, job: Job, *, owner: str = "", force: bool = False) -> Registration:
        """Store a definition; an unchanged one is a no-op, a changed one becomes the next version.

        owner: the app that declares it. A definition that another version has replaced before stays replaced (OLDER),
        so that an old process that starts once more undoes nothing; force brings it back.
        Raises StaleDefinition when others keep changing the job at the same time.
        """
        return self.register_all([job], owner=owner, force=force)[0]

    def register_all(self, jobs: Sequence[Job], *, owner: str = "", force: bool = False) -> list[Registration]:
        """Register many, in their order; where the new ones live is decided for all of them together."""
        self._namespace.placement.assign([job.id for job in jobs])
        author, registered = Author(self._by, owner), []
        for job in jobs:
            changed = update_job(self._database(job.name), job, author, force=force)
            registered.append(Registration(job.name, changed.word, changed.version))
        return registered

    def versions(self, name: str) -> list[Version]:
        """The versions of a job that are kept, the earliest first. Raises UnknownJob."""
        self.find(name)
        return find_versions(self._database(name), ids.job_id(name))

    def diff(self, name: str, a: int, b: int) -> Difference:
        """What version `b` of a job has otherwise than version `a`. Raises UnknownJob or UnknownVersion."""
        first, second = (self._find_version(name, number).job for number in (a, b))
        return diff_jobs(first, second, self._now_ms() // 1000)

    def rollback(self, name: str, version: int) -> Registration:
        """Make the definition of an earlier version the next one. Raises UnknownJob or UnknownVersion.

        Rolling back to the current one takes back a change that is put off.
        """
        chosen = self._find_version(name, version)
        author = Author(self._by)
        changed = update_job(
            self._database(name), chosen.job, author, declared_fingerprint=chosen.fingerprint, force=True
        )
        return Registration(name, changed.word, changed.version)

    def find(self, name: str) -> StoredJob:
        """The registered job. Raises UnknownJob."""
        stored = jobs.find_job(self._database(name), name)
        if stored is None:
            raise UnknownJob(f"no job {name!r} is registered in namespace {self._namespace.name!r}; deploy it first")
        return stored

    def _find_version(self, name: str, number: int) -> Version:
        kept = self.versions(name)
        found = next((each for each in kept if each.number == number), None)
        if found is None:
            known = ", ".join(str(each.number) for each in kept)
            raise UnknownVersion(f"job {name!r} has no version {number} on record; there are {known}")
        return found

    def _database(self, name: str) -> Database:
        return self._namespace.for_job(ids.job_id(name))

    def _now_ms(self) -> int:
        return self._namespace.clock.now_ms()


def _check_person(by: str) -> str:
    if not 1 <= len(by) <= MAX_PERSON_LENGTH or not by.isprintable():
        raise InvalidInput(f"by is {by!r}; a name has 1–{MAX_PERSON_LENGTH} printable characters")
    return by
