"""The proof at the end of a story: every due instant has its one row."""

from __future__ import annotations

from jobistemer.control.audit import audit_jobs, audit_shard
from jobistemer.core.planning.audit import AuditResult
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace


def audit_all(namespace: Namespace) -> list[AuditResult]:
    """Audit every job of a namespace; fails with the name of each hole, double and stranger."""
    found = audit_jobs(namespace)
    assert _format_findings(found) == []
    return found


def find_faults(database: Database, until: int | None = None) -> list[str]:
    """Each hole, double and stranger in a shard up to an instant (Unix seconds), in words."""
    return _format_findings(audit_shard(database, until=until))


def _format_findings(found: list[AuditResult]) -> list[str]:
    return [f"{row.job} at {row.due}: {row.fault}, {row.text}" for each in found for row in each.findings]
