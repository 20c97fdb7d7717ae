"""Deploy: compare what an app declares with what is registered, as a plan that can be read before it is applied."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum

import msgspec

from jobistemer.control.definitions import Registration
from jobistemer.control.jobs import JobControl
from jobistemer.core.jobs.job import Job, fingerprint
from jobistemer.core.jobs.versions import choose_apply_ms
from jobistemer.core.planning.diff import Difference, diff_jobs
from jobistemer.store.actions.update_job import has_been_replaced, keep_anchor
from jobistemer.store.calls import jobs
from jobistemer.store.calls.jobs import StoredJob
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace

PAGE = 500


class DeployStep(StrEnum):
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
    step: DeployStep
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

    def with_step(self, *steps: DeployStep) -> list[JobPlan]:
        """The jobs with one of these steps."""
        return [each for each in self.jobs if each.step in steps]


def plan_deploy(namespace: Namespace, declared: Sequence[Job], owner: str, *, force: bool = False) -> DeployPlan:
    """What deploying these jobs would do. Raises InvalidDefinition for a change that could never be applied."""
    homes = namespace.for_jobs([job.id for job in declared])
    planned = [_plan_job(home, job, force=force) for home, job in zip(homes, declared, strict=True)]
    removed = _plan_removals(namespace, {job.name for job in declared}, owner) if owner else []
    return DeployPlan((*planned, *removed), owner, force)


def apply_deploy(
    control: JobControl, plan: DeployPlan, declared: Sequence[Job], *, remove: bool = False
) -> list[Registration]:
    """Register the declared jobs, and with `remove` take away those that are no longer declared."""
    done = control.register_all(declared, owner=plan.owner, force=plan.force)
    for each in plan.with_step(DeployStep.REMOVE) if remove else ():
        control.remove(each.job)
        done.append(Registration(each.job, "REMOVED", each.version))
    return done


def _plan_job(database: Database, job: Job, *, force: bool) -> JobPlan:
    now_ms = database.read_clock()
    stored, mark = jobs.find_job(database, job.name), fingerprint(job)
    found = diff_jobs(stored.job if stored else None, keep_anchor(job, stored, now_ms), now_ms // 1000)
    step = _decide_step(database, mark, stored, force=force)
    version = stored.version if stored else 0
    if step is DeployStep.WAIT and stored is not None:
        return JobPlan(job.name, step, version, found, stored.pending_at)
    at_ms = choose_apply_ms(job, now_ms) if step is DeployStep.CHANGE and not force else now_ms
    return JobPlan(job.name, step, version, found, at_ms if at_ms > now_ms else None)


def _decide_step(database: Database, mark: str, stored: StoredJob | None, *, force: bool) -> DeployStep:
    if stored is None:
        return DeployStep.ADD
    if stored.fingerprint == mark:
        return DeployStep.KEEP
    if force:
        return DeployStep.CHANGE
    if stored.pending == mark:
        return DeployStep.WAIT
    return DeployStep.LEAVE if has_been_replaced(database, stored, mark) else DeployStep.CHANGE


def _plan_removals(namespace: Namespace, declared: Collection[str], owner: str) -> list[JobPlan]:
    found = []
    for database in namespace.shards:
        for stored in _list_owned(database, owner):
            if stored.job.name not in declared:
                gone = diff_jobs(stored.job, None, namespace.clock.now_ms() // 1000)
                found.append(JobPlan(stored.job.name, DeployStep.REMOVE, stored.version, gone))
    return sorted(found, key=lambda each: each.job)


def _list_owned(database: Database, owner: str) -> list[StoredJob]:
    keys = database.keys
    registered = [job.decode() for job in database.ask("ZRANGE", keys.due, 0, -1)]
    own: list[str] = []
    for start in range(0, len(registered), PAGE):
        part = registered[start : start + PAGE]
        owners = database.ask_all([("HGET", keys.job(job), "owner") for job in part])
        own += [job for job, mark in zip(part, owners, strict=True) if mark == owner.encode()]
    found = [jobs.read_stored(answer) for answer in database.ask_all([jobs.read_command(keys, job) for job in own])]
    return [stored for stored in found if stored is not None]
