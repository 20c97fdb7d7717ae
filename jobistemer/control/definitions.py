"""The definitions of jobs: register, compare and roll back their versions."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from typing import NamedTuple

import msgspec

from jobistemer.control.job_pages import JobPages
from jobistemer.control.unknown_job import build_unknown_job
from jobistemer.core import ids
from jobistemer.core.checks import LARGEST_WHOLE, check_author, check_id, check_text, check_whole, show
from jobistemer.core.errors import InvalidInput, InvalidSchedule, JobistemerError, UnknownVersion, UnreadableRecord
from jobistemer.core.jobs.job import Job
from jobistemer.core.jobs.new_job import DeclaredJob, encode_declared, encode_new_job
from jobistemer.core.jobs.versions import Version
from jobistemer.core.planning.diff import Difference, diff_jobs
from jobistemer.core.unreadable import Unreadable
from jobistemer.runtime.offload import twin
from jobistemer.runtime.process_info import user_name
from jobistemer.store.actions.update_job import Apply, Author, UpdateResult, update_job
from jobistemer.store.actions.update_jobs import is_registered, read_registered, update_jobs
from jobistemer.store.calls import jobs
from jobistemer.store.calls.job_versions import find_versions, list_versions
from jobistemer.store.calls.jobs import StoredJob
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.store.reading import read_number

_log = logging.getLogger("jobistemer.control")
LONGEST_OWNER = 1_000
"""How many characters the name of an app may have, which is a module or the path of a file."""


class Registration(NamedTuple):
    """The result of registering a job.

    word: CREATED, CHANGED, UNCHANGED, POSTPONED until the update policy lets it take effect, OLDER than the registered
    definition, or REMOVED. version: the version that is current now.
    """

    job: str
    word: str
    version: int


class UnreadableVersion(msgspec.Struct, frozen=True):
    """A version of a job that cannot be read. reason: why."""

    number: int
    reason: str


class JobDefinitions(JobPages):
    """Control of the definitions of the jobs of one namespace.

    by: the author of the changes, for each job's audit list; by default the user of this process and its host.
    Raises InvalidInput for an author whose name is too long or not printable.
    """

    def __init__(self, namespace: Namespace, by: str | None = None) -> None:
        super().__init__(namespace)
        self._by = check_author(by) if by is not None else user_name()

    def register(self, job: Job, *, owner: str = "", force: bool = False) -> Registration:
        """Register a definition: a changed one becomes the next version, an unchanged one changes nothing.

        owner: the app that declares the job. A definition that an earlier version had becomes the next version too:
        the last word holds. force: apply it now, also outside of its update window.
        Raises StaleDefinition when other processes keep changing the job at the same time.
        """
        return self.register_all([job], owner=owner, force=force)[0]

    def register_all(
        self, jobs: Sequence[Job], *, owner: str = "", force: bool = False, keep_newer: bool = False
    ) -> list[Registration]:
        """Register many definitions, in their order.

        keep_newer: a definition that another version has replaced before stays replaced (OLDER), so that an old process
        which starts again undoes nothing. Returns a registration for each. Raises what `register` raises; the error
        says how many are known to be registered, and the same call completes the others.
        """
        declared = [encode_declared(job) for job in jobs]
        check_text("owner", owner, LONGEST_OWNER, InvalidInput)
        # Shards are chosen for all new jobs together: one by one, each would take round trips of its own.
        self._namespace.placement.assign([each.id for each in declared])
        databases = self._namespace.for_jobs([each.id for each in declared])
        by_shard = {
            shard: [each for each, its in zip(declared, databases, strict=True) if its is shard]
            for shard in dict.fromkeys(databases)
        }
        results = _update_all(by_shard, Author(self._by, owner), choose_apply(force, keep_newer))
        registered: list[Registration] = []
        try:
            # Several shards take turns, job by job, but each of them hundreds in a round trip.
            for job, shard in zip(jobs, databases, strict=True):
                registered.append(Registration(job.name, *next(results[shard])))
        except JobistemerError as error:
            if len(jobs) > 1:
                said = str(error).rstrip(".")
                error.args = (f"{said}. {_describe_progress(len(registered), len(jobs))}", *error.args[1:])
            raise
        finally:
            # What the other shards have under way ends as well: nobody would hear of it.
            for each in results.values():
                each.close()
        now_ms = self._now_ms()
        for job, done in zip(jobs, registered, strict=True):
            if done.word in ("CREATED", "CHANGED") and is_over(job, now_ms):
                _log.warning("job %r will never run: its schedule has no instant to come", job.name)
        return registered

    def versions(self, name: str) -> list[Version]:
        """Return the versions of a job that are kept, the earliest first. Raises UnknownJob."""
        if jobs.find_job_or_reason(self._database(name), name) is None:
            self.find(name)
        return find_versions(self._database(name), ids.job_id(name))

    def unreadable_versions(self, name: str) -> list[UnreadableVersion]:
        """Return the versions of a job that are kept and cannot be read, each with the reason, the earliest first."""
        found = list_versions(self._database(name), ids.job_id(name))
        return [
            UnreadableVersion(read_number(each.member), each.reason) for each in found if isinstance(each, Unreadable)
        ]

    def diff(self, name: str, a: int, b: int) -> Difference:
        """Return what version `b` of a job changes in version `a`. Raises UnknownJob or UnknownVersion."""
        first, second = (self._find_version(name, number).job for number in (a, b))
        return diff_jobs(first, second, self._now_ms() // 1000)

    def rollback(self, name: str, version: int) -> Registration:
        """Register the definition of an earlier version as the next version.

        Rolling back to the current version cancels a change that is postponed.
        Raises UnknownJob, UnknownVersion or StaleDefinition.
        """
        chosen = self._find_version(name, version)
        declared = chosen.fingerprint
        changed = update_job(
            self._database(name), chosen.job, Author(self._by), declared_fingerprint=declared, apply=Apply.NOW
        )
        return Registration(name, changed.word, changed.version)

    def find(self, name: str) -> StoredJob:
        """Return a registered job. Raises UnknownJob."""
        stored = jobs.find_job_or_reason(self._database(name), name)
        if isinstance(stored, Unreadable):
            raise UnreadableRecord(
                f"job {name!r} cannot be read: {stored.reason}. Deploy the app that declares it, or remove it with "
                f"`jobistemer job remove {name}`; a newer version of Jobistemer may be able to read it"
            )
        if stored is None:
            raise build_unknown_job(self._namespace, name)
        return stored

    register_async = twin(register)
    register_all_async = twin(register_all)
    versions_async = twin(versions)
    unreadable_versions_async = twin(unreadable_versions)
    diff_async = twin(diff)
    rollback_async = twin(rollback)
    find_async = twin(find)

    def _find_version(self, name: str, number: int) -> Version:
        check_whole("version", number, 1, LARGEST_WHOLE, InvalidInput)
        kept = self.versions(name)
        found = next((each for each in kept if each.number == number), None)
        if found is None:
            known = ", ".join(str(each.number) for each in kept)
            raise UnknownVersion(f"job {show(name)} has no version {number} on record; there are {known}")
        return found

    def _database(self, name: str) -> Database:
        return self._namespace.for_job(ids.job_id(check_id("job name", name)))

    def _now_ms(self) -> int:
        return self._namespace.clock.now_ms()


def _update_all(
    by_shard: dict[Database, list[DeclaredJob]], author: Author, apply: Apply
) -> dict[Database, Generator[UpdateResult, None, None]]:
    """Begin the update of the jobs of each shard; its iterator registers them, in their order."""
    registered = {shard: read_registered(shard, declared) for shard, declared in by_shard.items()}
    for shard, declared in by_shard.items():
        for each, stored in zip(declared, registered[shard], strict=True):
            # Unchanged jobs are most of a deployment, and nothing of them is written. One that cannot be written leaves
            # all of them unwritten.
            if not is_registered(stored, each, author.owner):
                encode_new_job(each.job, each.encoded)
    return {
        shard: update_jobs(shard, declared, registered[shard], author, apply) for shard, declared in by_shard.items()
    }


def _describe_progress(done: int, wanted: int) -> str:
    return (
        f"{done:,} of {wanted:,} jobs are registered, of the others this is not known; do the same again: what is "
        "registered stays as it is, and the others are registered"
    )


def is_over(job: Job, now_ms: int) -> bool:
    """Return whether the schedule of a job has no instant to come; False for one that is not known in this process."""
    try:
        return job.schedule.next_unix(now_ms // 1000) is None
    except InvalidSchedule:
        return False


def choose_apply(force: bool, keep_newer: bool) -> Apply:  # noqa: FBT001 - the two words of the public methods
    """Return what the options of a registration mean together; `force` goes before `keep_newer`."""
    if force:
        return Apply.NOW
    return Apply.AT_START if keep_newer else Apply.AS_SAID
