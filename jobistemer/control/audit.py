"""Audit jobs: recompute what was due from their versions, and compare it with what is on record."""

from __future__ import annotations

from jobistemer.core import ids
from jobistemer.core.errors import InvalidInput, UnknownJob
from jobistemer.core.planning.audit import AuditResult, audit
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads.audit import list_job_names, read_job_history


def audit_jobs(
    namespace: Namespace, name: str = "", after: int | None = None, until: int | None = None
) -> list[AuditResult]:
    """Audit one job, or all that are registered: instants after `after` up to `until` (Unix seconds; all by default).

    Raises UnknownJob for a name of which nothing is on record, InvalidInput for a range that ends before it begins.
    """
    if after is not None and until is not None and until <= after:
        raise InvalidInput(f"the range from {after} to {until} is empty; were the two swapped?")
    if name:
        return [_audit_job(namespace.for_job(ids.job_id(name)), name, after, until)]
    return [each for database in namespace.shards for each in audit_shard(database, after, until)]


def audit_shard(database: Database, after: int | None = None, until: int | None = None) -> list[AuditResult]:
    """Audit the jobs that are registered in one shard."""
    return [_audit_job(database, each, after, until) for each in list_job_names(database)]


def _audit_job(database: Database, name: str, after: int | None, until: int | None) -> AuditResult:
    now_ms = database.read_clock()
    ledger = read_job_history(database, name)
    if not ledger.versions:
        raise UnknownJob(f"nothing is on record of a job {name!r}; `jobistemer job list` names those that are")
    end = now_ms // 1000 if until is None else min(until, now_ms // 1000)
    return audit(ledger, -(1 << 40) if after is None else after, end, now_ms)
