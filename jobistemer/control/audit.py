"""Audit of jobs: recompute the due instants from the versions of a job and compare them with its records."""

from __future__ import annotations

from jobistemer.core import ids
from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidInput, NotConnected, ServerRefused, UnknownJob
from jobistemer.core.planning.audit import AuditResult, audit, unreadable_result
from jobistemer.core.unreadable import Unreadable, explain
from jobistemer.store.calls.jobs import find_job_or_reason
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads.audit import list_job_names, read_job_history

BEFORE_ALL_INSTANTS = -(1 << 40)
"""Unix seconds before the year 1."""


def audit_jobs(
    namespace: Namespace, name: str = "", after: int | None = None, until: int | None = None
) -> list[AuditResult]:
    """Audit one job, or all registered jobs.

    after, until: the range of instants in Unix seconds, `until` included; by default all that are on record.
    Raises UnknownJob for a name without any record, or InvalidInput for a range that ends before it begins.
    """
    if after is not None and until is not None and until <= after:
        raise InvalidInput(f"the range from {after} to {until} is empty; were the two swapped?")
    if name:
        return [_audit_job(namespace.for_job(ids.job_id(name)), name, after, until)]
    return [each for database in namespace.shards for each in audit_shard(database, after, until)]


def audit_shard(database: Database, after: int | None = None, until: int | None = None) -> list[AuditResult]:
    """Audit the jobs that are registered on one shard; after, until: see `audit_jobs`."""
    names, unreadable = list_job_names(database)
    audited = [_try_audit(database, each, after, until) for each in names]
    return [*audited, *(unreadable_result(each, reason) for each, reason in sorted(unreadable.items()))]


def _try_audit(database: Database, name: str, after: int | None, until: int | None) -> AuditResult:
    """Audit a job, whatever is stored of it."""
    try:
        return _audit_job(database, name, after, until)
    except (NotConnected, ServerRefused):
        raise
    except Exception as error:  # noqa: BLE001 - a custom schedule is user code
        return unreadable_result(name, explain(error))


def _audit_job(database: Database, name: str, after: int | None, until: int | None) -> AuditResult:
    now_ms = database.read_clock()
    stored = find_job_or_reason(database, name)
    if isinstance(stored, Unreadable):
        return unreadable_result(name, stored.reason)
    ledger = read_job_history(database, name)
    if not ledger.versions:
        raise UnknownJob(f"nothing is on record of a job {show(name)}; `jobistemer job list` names those that are")
    end = now_ms // 1000 if until is None else min(until, now_ms // 1000)
    return audit(ledger, BEFORE_ALL_INSTANTS if after is None else after, end, now_ms)
