"""Audit: the instants that the stored versions of a job name, compared with the rows of its history.

Every instant of a range belongs to one version, the one whose interval contains it. It must have one row, and the row
must be whole. There are these faults: a *hole* is an instant without a row, a *double* is an instant with more than
one, a *stranger* is a row that no version, no person and no backfill accounts for. A job whose definition cannot be
read, or whose schedule is not known in this process, cannot be checked: that is a fault too (*unreadable*).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum

import msgspec

from jobistemer.core import ids
from jobistemer.core.jobs.versions import Version

SLACK_S = 60
"""How many seconds before the end of its retention a row may be gone: clocks differ, and trimming takes time."""


class AuditFault(StrEnum):
    """The kind of fault of an instant."""

    HOLE = "hole"
    DOUBLE = "double"
    STRANGER = "stranger"
    UNREADABLE = "unreadable"


class HistoryRow(msgspec.Struct, frozen=True):
    """One row of the history; `due` is None when the record is gone. origin: who requested it, if the clock did not."""

    occurrence: str
    due: int | None
    origin: str = ""


class AuditFinding(msgspec.Struct, frozen=True):
    """One fault. due: Unix seconds. version: the version that should have decided the instant, 0 for none."""

    job: str
    due: int
    fault: AuditFault
    text: str
    version: int = 0


class AuditResult(msgspec.Struct, frozen=True):
    """The result of an audit of the instants after `after` up to `until` (Unix seconds): their number and faults."""

    job: str
    after: int
    until: int
    expected: int
    findings: tuple[AuditFinding, ...]


class JobHistory(msgspec.Struct, frozen=True):
    """All records of one job. cursor: its instants are decided up to this second, None when the job was removed."""

    name: str
    versions: tuple[Version, ...]
    rows: tuple[HistoryRow, ...]
    cursor: int | None


def audit(history: JobHistory, after: int, until: int, now_ms: int) -> AuditResult:
    """Compare the instants after `after` up to `until` with the rows; a range whose rows have expired is left out."""
    start = max(after, retention_cutoff(history.versions, now_ms), _count_cutoff(history))
    due = dict(expected_instants(history, start, until, now_ms))
    name = history.name
    rows = [row for row in history.rows if row.due is not None and start < row.due <= until]
    counted = Counter(row.due for row in rows if _is_row_of_instant(name, row))
    gone = {row.occurrence for row in history.rows if row.due is None}
    holes = [_build_hole(history, gone, instant, version) for instant, version in due.items() if not counted[instant]]
    odd = [_check_row(name, row, due) for row in rows if not row.origin]
    findings = sorted([*holes, *(each for each in odd if each is not None)], key=lambda each: each.due)
    return AuditResult(name, start, until, len(due), tuple(findings))


def unreadable_result(name: str, reason: str) -> AuditResult:
    """Return the result for a job that cannot be checked."""
    return AuditResult(name, 0, 0, 0, (AuditFinding(name, 0, AuditFault.UNREADABLE, f"cannot be checked: {reason}"),))


def expected_instants(history: JobHistory, after: int, until: int, now_ms: int) -> Iterator[tuple[int, int]]:
    """Yield the instants after `after` up to `until` that must be decided by now, each with its version."""
    for version in history.versions:
        end = version.until
        if end is None:
            # An instant within the grace period may still be on its way to a ticker.
            within_grace = (now_ms - round(version.job.grace_s * 1000)) // 1000 - 1
            end = max(history.cursor or 0, within_grace)
        for instant in version.job.schedule.unix_between(max(after, version.after), min(until, end)):
            yield instant, version.number


def retention_cutoff(versions: Sequence[Version], now_ms: int) -> int:
    """Return the Unix second up to which rows may have expired, under one version or another."""
    ends = ((now_ms if each.over_at is None else each.over_at) - each.history_ms for each in versions)
    forgotten = max(ends, default=0) // 1000 + SLACK_S
    # Instants from before the earliest version that is kept cannot be recomputed: its predecessors are deleted.
    return max(forgotten, versions[0].after) if versions else forgotten


def _count_cutoff(history: JobHistory) -> int:
    """Return the Unix second up to which rows may have gone because a version keeps a limited number of them.

    Returns a second before every instant while there are fewer rows than that.
    """
    limit = min((each.job.history_count for each in history.versions), default=0)
    dues = [row.due for row in history.rows if row.due is not None and not row.origin]
    # A tenth less than the limit counts as the limit: the holes that this audit is to find make the list shorter.
    return min(dues) - 1 if dues and len(history.rows) >= limit - limit // 10 - 1 else -(1 << 40)


def _is_row_of_instant(name: str, row: HistoryRow) -> bool:
    return row.due is not None and row.occurrence == ids.occurrence_id(ids.job_id(name), row.due)


def _build_hole(history: JobHistory, gone: Collection[str], instant: int, version: int) -> AuditFinding:
    occurrence = ids.occurrence_id(ids.job_id(history.name), instant)
    if history.cursor is not None and instant > history.cursor:
        text = f"is past its grace, and no ticker has decided it: {occurrence} is not on record"
    elif occurrence in gone:
        text = f"the history lists {occurrence}, whose record is gone"
    else:
        text = f"was decided under version {version}, and {occurrence} is not in the history"
    return AuditFinding(history.name, instant, AuditFault.HOLE, text, version)


def _check_row(name: str, row: HistoryRow, due: Mapping[int, int]) -> AuditFinding | None:
    instant = row.due or 0
    if _is_row_of_instant(name, row):
        text = f"{row.occurrence} is on record, and nothing was due then"
        return None if instant in due else AuditFinding(name, instant, AuditFault.STRANGER, text)
    if instant in due:
        text = f"{row.occurrence} is a second row beside the one that belongs there"
        return AuditFinding(name, instant, AuditFault.DOUBLE, text, due[instant])
    return AuditFinding(name, instant, AuditFault.STRANGER, f"{row.occurrence} belongs to no instant of this job")
