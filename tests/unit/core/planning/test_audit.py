"""What is due by the versions against what is on record, as tables."""

from __future__ import annotations

import pytest

from jobistemer.core import ids
from jobistemer.core.jobs.job import Job, Task
from jobistemer.core.jobs.versions import Version
from jobistemer.core.planning.audit import SLACK_S, AuditFault, HistoryRow, JobHistory, audit
from jobistemer.core.schedules import Cron

MINUTE = 60
T = 1_800_000_000
NOW = (T + 10 * MINUTE) * 1000
ID = ids.job_id("report")


def job(expression="* * * * *", **changes):
    return Job(**{"name": "report", "schedule": Cron(expression), "tasks": (Task("only", "report"),), **changes})


def version(number=1, after=T, until=None, **changes):
    return Version(
        number, job(**changes), f"f{number}", after, after * 1000, until, None if until is None else until * 1000
    )


def row(minute, origin="", **changes):
    due = T + minute * MINUTE
    return HistoryRow(**{"occurrence": ids.occurrence_id(ID, due), "due": due, "origin": origin, **changes})


def found(rows, versions=(version(),), cursor=T + 5 * MINUTE, after=0, until=T + 5 * MINUTE, now_ms=NOW):
    result = audit(JobHistory("report", tuple(versions), tuple(rows), cursor), after, until, now_ms)
    return [((each.due - T) / MINUTE, each.fault) for each in result.findings]


WHOLE = [row(n) for n in range(1, 6)]


def test_a_whole_ledger_has_no_findings():
    assert found(WHOLE) == []
    assert audit(JobHistory("report", (version(),), tuple(WHOLE), T + 300), 0, T + 300, NOW).expected == 5


@pytest.mark.parametrize("missing", range(5))
def test_each_row_that_is_missing_is_a_hole(missing):
    assert found(WHOLE[:missing] + WHOLE[missing + 1 :]) == [(missing + 1, AuditFault.HOLE)]


def test_a_row_whose_record_is_gone_is_a_hole_that_says_so():
    rows = [*WHOLE[:2], row(3, due=None), *WHOLE[3:]]
    result = audit(JobHistory("report", (version(),), tuple(rows), T + 300), 0, T + 300, NOW)
    assert [each.text for each in result.findings] == [f"the history lists {WHOLE[2].occurrence}, whose record is gone"]


def test_a_second_row_for_an_instant_is_a_double():
    assert found([*WHOLE, row(3, occurrence="occ_other")]) == [(3, AuditFault.DOUBLE)]


def test_a_row_where_nothing_was_due_is_a_stranger():
    assert found([*WHOLE, row(2.5)]) == [(2.5, AuditFault.STRANGER)]
    assert found([*WHOLE, row(2.5, occurrence="occ_other")]) == [(2.5, AuditFault.STRANGER)]


@pytest.mark.parametrize("origin", ["trigger", "replay of occ_1", "backfill bf_1"])
def test_what_a_person_asked_for_is_neither_double_nor_stranger(origin):
    assert found([*WHOLE, row(2.5, origin), row(3, origin, occurrence="occ_other")]) == []


def test_a_backfilled_instant_is_no_hole():
    assert found([*WHOLE[:2], row(3, "backfill bf_1"), *WHOLE[3:]]) == []


def test_each_instant_is_expected_under_the_version_it_belongs_to():
    versions = [version(1, T, T + 2 * MINUTE), version(2, T + 2 * MINUTE, expression="*/2 * * * *")]
    assert found([row(1), row(2), row(4)], versions) == []
    assert found([row(1), row(4)], versions) == [(2, AuditFault.HOLE)]
    assert found([row(1), row(2), row(3), row(4)], versions) == [(3, AuditFault.STRANGER)]


def test_a_range_in_which_the_job_was_removed_expects_nothing():
    versions = [version(1, T, T + MINUTE), version(2, T + 4 * MINUTE)]
    assert found([row(1), row(5)], versions) == []


def test_what_is_due_within_the_grace_period_may_still_come_and_what_is_older_is_a_hole():
    assert found(WHOLE, until=T + 10 * MINUTE, now_ms=(T + 7 * MINUTE) * 1000) == []
    assert found(WHOLE, until=T + 10 * MINUTE, now_ms=(T + 7 * MINUTE + 2) * 1000) == [(6, AuditFault.HOLE)]


def test_rows_older_than_the_retention_are_legitimately_gone():
    short = version(history_s=5 * MINUTE)
    assert found(WHOLE[4:], [short], now_ms=(T + 8 * MINUTE) * 1000) == []
    early = (T + 8 * MINUTE - SLACK_S) * 1000
    assert found(WHOLE[4:], [short], now_ms=early) == [(4, AuditFault.HOLE)]


def test_what_an_earlier_version_kept_shorter_may_be_gone_too():
    versions = [version(1, T, T + 4 * MINUTE, history_s=60), version(2, T + 4 * MINUTE)]
    assert found([row(5)], versions) == []


def test_only_the_range_that_was_asked_for_is_audited():
    assert found(WHOLE[1:3], after=T + MINUTE, until=T + 3 * MINUTE) == []


def test_rows_beyond_the_number_that_is_kept_are_legitimately_gone():
    few = version(history_count=3)
    assert found(WHOLE[2:], [few]) == []
    assert found([WHOLE[2], WHOLE[4]], [few]) == [(4, AuditFault.HOLE)]
    assert found(WHOLE[2:], [version(history_count=100)]) == [(1, AuditFault.HOLE), (2, AuditFault.HOLE)]
