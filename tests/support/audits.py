"""The proof at the end of a story: every due instant has its one row."""

from __future__ import annotations

from jobistemer.app.auditing import audit_jobs
from jobistemer.core.audit import Audited
from jobistemer.store.namespace import Namespace


def audited(namespace: Namespace) -> list[Audited]:
    """Audit every job of a namespace; fails with the name of each hole, double and stranger."""
    found = audit_jobs(namespace)
    faults = [f"{row.job} at {row.due}: {row.fault}, {row.text}" for each in found for row in each.findings]
    assert faults == []
    return found
