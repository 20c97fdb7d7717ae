"""Deployment: compare the declared jobs of an app with the registered ones, as a plan, and apply the plan."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from enum import StrEnum

import msgspec

from jobistemer.control.definitions import Registration, choose_apply, is_over
from jobistemer.control.jobs import JobControl
from jobistemer.core.errors import UnknownJob
from jobistemer.core.jobs.job import Job
from jobistemer.core.jobs.new_job import DeclaredJob, encode_declared
from jobistemer.core.jobs.versions import choose_apply_ms
from jobistemer.core.planning.diff import Difference, FireTimeChanges, InstantBudget, diff_jobs
from jobistemer.core.unreadable import Unreadable
from jobistemer.store.actions.update_job import Apply, find_earlier, keep_anchor
from jobistemer.store.actions.update_jobs import Registered, find_due_marks, is_registered, read_declared
from jobistemer.store.calls.jobs import StoredJob
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads.jobs import list_owned


class DeployStep(StrEnum):
    """A step of a deployment for one job."""

    ADD = "add"
    CHANGE = "change"
    KEEP = "keep"
    WAIT = "wait"
    LEAVE = "leave"
    DROP = "drop"
    REMOVE = "remove"


class JobPlan(msgspec.Struct, frozen=True):
    """The planned step for one job.

    step: add; change; keep, since nothing differs; wait, since the same update is postponed already; leave, since
    another version has replaced this definition before; drop, since the current version holds on and another one that
    waits is taken back; or remove, since the app no longer declares the job.
    version: the current version, 0 for none. apply_at: the Unix milliseconds of a change that is postponed, from which
    on the fire times are compared. restored: the earlier version that had this very definition, 0 for none. is_over:
    its schedule has no instant to come. unreadable: why the registered definition, which this one replaces, cannot be
    read.
    """

    job: str
    step: DeployStep
    version: int
    difference: Difference
    apply_at: int | None = None
    restored: int = 0
    is_over: bool = False
    unreadable: str = ""


class DeployPlan(msgspec.Struct, frozen=True):
    """The plan of a deployment: the declared jobs in their order, then the deployed jobs that are no longer declared.

    owner: the mark of the app. force: ignore update windows. keep_newer: definitions that others have replaced stay so.
    is_applied: all jobs were registered as declared when the plan was made, so at that moment there was nothing to do.
    """

    jobs: tuple[JobPlan, ...]
    owner: str
    force: bool
    keep_newer: bool = False
    is_applied: bool = False

    def with_step(self, *steps: DeployStep) -> list[JobPlan]:
        """Return the jobs with one of these steps."""
        return [each for each in self.jobs if each.step in steps]

    def list_unchanged(self) -> list[Registration]:
        """Return the registrations of a plan that is applied already."""
        return [Registration(each.job, "UNCHANGED", each.version) for each in self.jobs]


def plan_deploy(
    namespace: Namespace, declared: Sequence[Job], owner: str, *, force: bool = False, keep_newer: bool = False
) -> DeployPlan:
    """Plan the deployment of the declared jobs; nothing is written.

    force, keep_newer: see `JobDefinitions.register_all`.
    Raises InvalidDefinition for a change that could never be applied.
    """
    encoded = [encode_declared(job) for job in declared]
    job_ids = [each.id for each in encoded]
    databases = namespace.for_jobs(job_ids)
    apply = choose_apply(force, keep_newer)
    budget, planned, is_applied = InstantBudget(), dict[int, JobPlan](), namespace.placement.holds(job_ids)
    for shard in dict.fromkeys(databases):
        positions = [position for position, its in enumerate(databases) if its is shard]
        own = [encoded[position] for position in positions]
        now_ms, registered = shard.read_clock(), read_declared(shard, own)
        plans = _plan_jobs(shard, own, registered, apply, now_ms, budget)
        planned |= zip(positions, plans, strict=True)
        is_applied = is_applied and _are_registered(shard, own, registered, owner)
    # Without a mark nothing says which registered jobs this app has deployed, so none is removed.
    removed = _plan_removals(namespace, set(job_ids), owner, budget) if owner else []
    in_order = (planned[position] for position in range(len(declared)))
    return DeployPlan((*in_order, *removed), owner, force, keep_newer, is_applied and not removed)


def apply_deploy(
    control: JobControl, plan: DeployPlan, declared: Sequence[Job], *, remove: bool = False
) -> list[Registration]:
    """Register the declared jobs and, with `remove`, remove those that are no longer declared.

    A job that has gone since the plan, or that another app has declared since, is left. Returns a registration for each
    of the others. Raises what `JobControl.register_all` and `JobControl.remove` raise.
    """
    done = control.register_all(declared, owner=plan.owner, force=plan.force, keep_newer=plan.keep_newer)
    for each in plan.with_step(DeployStep.REMOVE) if remove else ():
        if _remove_own(control, each.job, plan.owner):
            done.append(Registration(each.job, "REMOVED", each.version))
    return done


def _remove_own(control: JobControl, name: str, owner: str) -> bool:
    """Remove a job that still belongs to an app. Returns whether it did, and this call has removed it."""
    with suppress(UnknownJob):
        if control.find(name).owner == owner:
            control.remove(name)
            return True
    return False


def _are_registered(
    database: Database, declared: list[DeclaredJob], registered: Sequence[Registered], owner: str
) -> bool:
    """Return whether nothing of these jobs has to be written."""
    return all(
        is_registered(stored, job, owner) for job, stored in zip(declared, registered, strict=True)
    ) and None not in find_due_marks(database, [each.id for each in declared])


def _plan_jobs(
    database: Database,
    declared: list[DeclaredJob],
    registered: Sequence[Registered],
    apply: Apply,
    now_ms: int,
    budget: InstantBudget,
) -> Iterator[JobPlan]:
    unchanged = Difference((), FireTimeChanges.none(now_ms // 1000))
    earlier = _find_earlier(database, declared, registered)
    for position, (job, found) in enumerate(zip(declared, registered, strict=True)):
        if isinstance(found, StoredJob) and found.fingerprint == job.fingerprint and not found.pending:
            yield JobPlan(job.job.name, DeployStep.KEEP, found.version, unchanged)
        else:
            yield _plan_job(job, found, earlier.get(position), apply, now_ms, budget)


def _find_earlier(
    database: Database, declared: Sequence[DeclaredJob], registered: Sequence[Registered]
) -> dict[int, int | None]:
    """Find the earlier versions of the changed jobs that had the declared definitions, by position."""
    changed = {
        position: (stored, job.fingerprint)
        for position, (job, stored) in enumerate(zip(declared, registered, strict=True))
        if isinstance(stored, StoredJob) and stored.fingerprint != job.fingerprint
    }
    return dict(zip(changed, find_earlier(database, list(changed.values())), strict=True))


def _plan_job(
    declared: DeclaredJob,
    registered: Registered,
    earlier: int | None,
    apply: Apply,
    now_ms: int,
    budget: InstantBudget,
) -> JobPlan:
    job, mark = declared.job, declared.fingerprint
    unreadable = registered.reason if isinstance(registered, Unreadable) else ""
    stored = None if isinstance(registered, Unreadable) else registered
    step = _decide_step(mark, stored, earlier, apply)
    put_off = _find_put_off(job, stored, step, apply, now_ms)
    # Up to then the fire times stay those of the current version.
    start = (put_off or now_ms) // 1000
    found = diff_jobs(stored.job if stored else None, keep_anchor(job, stored, now_ms), start, budget)
    version = stored.version if stored else 0
    if step is DeployStep.WAIT:
        return JobPlan(job.name, step, version, found, put_off)
    return JobPlan(job.name, step, version, found, put_off, earlier or 0, is_over(job, now_ms), unreadable)


def _find_put_off(job: Job, stored: StoredJob | None, step: DeployStep, apply: Apply, now_ms: int) -> int | None:
    """Return the Unix ms to which a change is or will be postponed; None where it is not."""
    if step is DeployStep.WAIT and stored is not None:
        return stored.pending_at
    at_ms = choose_apply_ms(job, now_ms) if step is DeployStep.CHANGE and apply is not Apply.NOW else now_ms
    return at_ms if at_ms > now_ms else None


def _decide_step(mark: str, stored: StoredJob | None, earlier: int | None, apply: Apply) -> DeployStep:
    if stored is None:
        return DeployStep.ADD
    if stored.fingerprint == mark:
        return DeployStep.DROP if stored.pending and apply is not Apply.AT_START else DeployStep.KEEP
    if stored.pending == mark and apply is not Apply.NOW:
        return DeployStep.WAIT
    return DeployStep.LEAVE if apply is Apply.AT_START and earlier is not None else DeployStep.CHANGE


def _plan_removals(namespace: Namespace, declared: Collection[str], owner: str, budget: InstantBudget) -> list[JobPlan]:
    found = []
    for database in namespace.shards:
        for stored in list_owned(database, owner, declared):
            gone = diff_jobs(stored.job, None, namespace.clock.now_ms() // 1000, budget)
            found.append(JobPlan(stored.job.name, DeployStep.REMOVE, stored.version, gone))
    return sorted(found, key=lambda each: each.job)
