"""Deploy: compare what an app declares with what is registered, as a plan that can be read before it is applied."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum

import msgspec

from jobistemer.control.definitions import Registered
from jobistemer.control.jobs import JobControl
from jobistemer.core.jobs.job import Job, fingerprint
from jobistemer.core.jobs.versions import apply_at_ms
from jobistemer.core.planning.diff import Difference, difference
from jobistemer.store.actions.update_job import has_been_replaced, kept_anchor
from jobistemer.store.calls import jobs
from jobistemer.store.calls.jobs import StoredJob
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace

PAGE = 500


class Step(StrEnum):
    """What a deployment does to one job."""

    ADD = "add"
    CHANGE = "change"
    KEEP = "keep"
    WAIT = "wait"
    LEAVE = "leave"
    REMOVE = "remove"


class JobPlan(msgspec.Struct, frozen=True):
    """What becomes of one job.

    step: add, change, keep as it is, wait for an update that is put off already, leave because another version has
    replaced this one before, or remove because the app declares it no more. version: the current one, 0 for none.
    apply_at: ms, when that is later than now.
    """

    job: str
    step: Step
    version: int
    difference: Difference
    apply_at: int | None = None


class DeployPlan(msgspec.Struct, frozen=True):
    """The jobs of an app in the order of their declaration, then those that it deployed and declares no more.

    owner: the mark of the app. force: apply now, whatever window, and also what newer versions have replaced.
    """

    jobs: tuple[JobPlan, ...]
    owner: str
    force: bool

    def of(self, *steps: Step) -> list[JobPlan]:
        """The jobs with one of these steps."""
        return [each for each in self.jobs if each.step in steps]


def plan_deploy(namespace: Namespace, declared: Sequence[Job], owner: str, *, force: bool = False) -> DeployPlan:
    """What deploying these jobs would do. Raises InvalidDefinition for a change that could never be applied."""
    homes = namespace.for_jobs([job.id for job in declared])
    planned = [_planned(home, job, force=force) for home, job in zip(homes, declared, strict=True)]
    removed = _no_longer_declared(namespace, {job.name for job in declared}, owner) if owner else []
    return DeployPlan((*planned, *removed), owner, force)


def apply_deploy(
    control: JobControl, plan: DeployPlan, declared: Sequence[Job], *, remove: bool = False
) -> list[Registered]:
    """Register the declared jobs, and with `remove` take away those that are no longer declared."""
    done = control.register_all(declared, owner=plan.owner, force=plan.force)
    for each in plan.of(Step.REMOVE) if remove else ():
        control.remove(each.job)
        done.append(Registered(each.job, "REMOVED", each.version))
    return done


def _planned(database: Database, job: Job, *, force: bool) -> JobPlan:
    now_ms = database.read_clock()
    stored, mark = jobs.find_job(database, job.name), fingerprint(job)
    found = difference(stored.job if stored else None, kept_anchor(job, stored, now_ms), now_ms // 1000)
    step = _step(database, mark, stored, force=force)
    version = stored.version if stored else 0
    if step is Step.WAIT and stored is not None:
        return JobPlan(job.name, step, version, found, stored.pending_at)
    at_ms = apply_at_ms(job, now_ms) if step is Step.CHANGE and not force else now_ms
    return JobPlan(job.name, step, version, found, at_ms if at_ms > now_ms else None)


def _step(database: Database, mark: str, stored: StoredJob | None, *, force: bool) -> Step:
    if stored is None:
        return Step.ADD
    if stored.fingerprint == mark:
        return Step.KEEP
    if force:
        return Step.CHANGE
    if stored.pending == mark:
        return Step.WAIT
    return Step.LEAVE if has_been_replaced(database, stored, mark) else Step.CHANGE


def _no_longer_declared(namespace: Namespace, declared: Collection[str], owner: str) -> list[JobPlan]:
    found = []
    for database in namespace.shards:
        for stored in _owned(database, owner):
            if stored.job.name not in declared:
                gone = difference(stored.job, None, namespace.clock.now_ms() // 1000)
                found.append(JobPlan(stored.job.name, Step.REMOVE, stored.version, gone))
    return sorted(found, key=lambda each: each.job)


def _owned(database: Database, owner: str) -> list[StoredJob]:
    keys = database.keys
    everything = [job.decode() for job in database.ask("ZRANGE", keys.due, 0, -1)]
    own: list[str] = []
    for start in range(0, len(everything), PAGE):
        part = everything[start : start + PAGE]
        owners = database.ask_all([("HGET", keys.job(job), "owner") for job in part])
        own += [job for job, mark in zip(part, owners, strict=True) if mark == owner.encode()]
    found = [jobs.read_stored(answer) for answer in database.ask_all([jobs.read_command(keys, job) for job in own])]
    return [stored for stored in found if stored is not None]
