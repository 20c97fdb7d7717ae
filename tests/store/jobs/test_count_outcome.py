import pytest

from jobistemer.core import ids
from jobistemer.core.runs.message import TaskRef
from jobistemer.store.calls import jobs, outcome_counts
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import MINUTE, T0, build_ended, claim, decision, fetch_one, finish, job, register
from tests.support.shard_state import audits, find_leaks, nothing_written, records
from tests.support.wakeups import collect_wakeups

ID = job().id
JOB = f"job:{ID}"
PATIENT = job(pause_on_failure=3, overlap="allow")
AWAITED = job(expect_within_s=600, alert="notify", overlap="allow")


def slot(number):
    return TaskRef(ids.occurrence_id(ID, T0 + number * MINUTE), ID, 1, T0 + number * MINUTE, "only")


def end(database, number, state="failed", definition=PATIENT):
    """An occurrence that ends so; the worker's commit counts it."""
    claim(database, definition, decision(T0 + number * MINUTE))
    finish(database, build_ended(fetch_one(database), state, final=state != "succeeded"), definition)


def count(database, number, definition=PATIENT, now=NOW):
    return database.call(outcome_counts.count_outcome(database.keys, definition, slot(number), now))


def test_failures_in_a_row_are_counted_with_the_end_of_each_occurrence(database):
    register(database, PATIENT)
    end(database, 1)
    end(database, 2)
    assert records(database)[JOB]["failures"] == "2"
    end(database, 3, "succeeded")
    assert records(database)[JOB]["failures"] == "0"
    assert "paused" not in records(database)[JOB]


def test_after_so_many_the_job_is_paused_with_the_reason_in_the_same_step(database):
    register(database, PATIENT)
    for number in (1, 2, 3):
        end(database, number)
    held = records(database)[JOB]
    last = slot(3).occurrence
    assert held["paused"] == f"paused itself because {last} failed, the last of 3 in a row"
    assert (held["paused_until"], held["failures"]) == ("0", "3")
    line = audits(database)[f"audit:{ID}"][-1]
    assert (line["by"], line["what"], line["note"]) == ("pause_on_failure", "paused", held["paused"])
    claim(database, PATIENT, decision(T0 + 4 * MINUTE))
    row = records(database)[f"occurrence:{slot(4).occurrence}"]
    assert (row["state"], row["reason"]) == ("skipped", held["paused"])
    assert find_leaks(database) == {}


def test_after_it_was_resumed_counting_begins_anew(database):
    register(database, PATIENT)
    for number in (1, 2, 3):
        end(database, number)
    database.call(jobs.resume(database.keys, ID, NOW, "ana"))
    end(database, 4)
    assert records(database)[JOB]["failures"] == "1"
    assert "paused" not in records(database)[JOB]


def test_a_pause_by_hand_is_not_replaced(database):
    register(database, PATIENT)
    end(database, 1)
    end(database, 2)
    claim(database, PATIENT, decision(T0 + 3 * MINUTE))
    database.call(jobs.pause(database.keys, ID, "paused by ana", 0, NOW))
    finish(database, build_ended(fetch_one(database), "failed", final=True), PATIENT)
    assert (records(database)[JOB]["paused"], records(database)[JOB]["failures"]) == ("paused by ana", "3")


def test_a_pause_that_is_over_is(database):
    register(database, PATIENT)
    database.call(jobs.pause(database.keys, ID, "paused by ana", NOW - 1, NOW - 9))
    for number in (1, 2, 3):
        end(database, number)
    assert records(database)[JOB]["paused"].startswith("paused itself")


def test_a_second_send_of_the_same_call_counts_nothing(database):
    register(database, PATIENT)
    end(database, 1)
    with nothing_written(database):
        assert count(database, 1) == Reply("BEFORE", [])


def test_an_occurrence_that_goes_on_is_not_counted(database):
    register(database, PATIENT)
    claim(database, PATIENT, decision(T0 + MINUTE))
    with nothing_written(database):
        assert count(database, 1) == Reply("OPEN", [])
        assert count(database, 7) == Reply("OPEN", [])


def test_a_cancelled_occurrence_counts_neither_way(database):
    register(database, PATIENT)
    end(database, 1)
    end(database, 2, "canceled")
    assert records(database)[JOB]["failures"] == "1"


def test_of_a_job_that_is_gone_nothing_is_counted(database):
    register(database, PATIENT)
    claim(database, PATIENT, decision(T0 + MINUTE))
    stored = jobs.find_job(database, "report")
    database.call(jobs.remove(database.keys, stored, NOW))
    finish(database, build_ended(fetch_one(database), "failed", final=True), PATIENT)
    assert JOB not in records(database)
    with nothing_written(database):
        assert count(database, 1) == Reply("BEFORE", [])


def test_tickers_are_woken_when_a_job_has_recovered(database, open_database):
    register(database, AWAITED)
    end(database, 1, "succeeded", AWAITED)
    database.client.hset(database.keys.job(ID), "overdue_at", NOW)
    with collect_wakeups(open_database()) as heard:
        end(database, 2, "succeeded", AWAITED)
    assert heard == ["run"]


@pytest.mark.parametrize(("overdue", "mark"), [(False, NOW + 1000 + 600_000), (True, 0)])
def test_a_completion_is_expected_anew_or_tells_that_the_job_has_recovered(database, overdue, mark):
    register(database, AWAITED)
    assert records(database)["expected"] == {ID: NOW + 600_000}
    if overdue:
        database.client.hset(database.keys.job(ID), "overdue_at", NOW)
    end(database, 1, "succeeded", AWAITED)
    assert records(database)["expected"] == {ID: mark}


def test_a_failure_leaves_what_is_expected_as_it_was(database):
    register(database, AWAITED)
    end(database, 1, "failed", AWAITED)
    assert records(database)["expected"] == {ID: NOW + 600_000}


def test_a_job_that_asks_for_none_of_this_is_committed_without_it():
    assert not outcome_counts.is_counted(job())
    assert outcome_counts.is_counted(PATIENT)
    assert outcome_counts.is_counted(AWAITED)
