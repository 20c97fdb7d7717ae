import pytest

from jobistemer.core import ids
from jobistemer.core.jobs.job import Overlap
from jobistemer.core.states import OccurrenceState
from jobistemer.store.calls import occurrences
from jobistemer.store.scripts import Reply
from tests.support.lifecycle import MINUTE, T0, build_ended, claim, decision, fetch_one, finish, job, register, task
from tests.support.shard_state import nothing_written, records

DEFINITION = job(overlap=Overlap.QUEUE, occurrence_timeout_s=30.0)
ID = DEFINITION.id
ONE, TWO = T0 + MINUTE, T0 + 2 * MINUTE
LIVE, WAITING = ids.occurrence_id(ID, ONE), ids.occurrence_id(ID, TWO)
AGAIN = ONE * 1000 + 35_000


@pytest.fixture
def going_on(database):
    """One occurrence is live and has a deadline."""
    register(database, DEFINITION)
    claim(database, DEFINITION, decision(ONE))
    return database


def halt(database, occurrence=LIVE, verdict=OccurrenceState.TIMED_OUT, reason="timed out after 30 s", again_at=AGAIN):
    return database.call(occurrences.halt(database.keys, occurrence, verdict, reason, again_at))


def test_an_occurrence_with_a_time_out_is_among_the_deadlines_from_its_start(going_on):
    assert records(going_on)["deadlines"] == {LIVE: ONE * 1000 + 30_000}
    assert records(going_on)[f"occurrence:{LIVE}"]["deadline"] == str(ONE * 1000 + 30_000)


def test_an_occurrence_that_waits_in_the_queue_has_no_deadline_before_it_starts(going_on):
    claim(going_on, DEFINITION, decision(TWO))
    assert set(records(going_on)["deadlines"]) == {LIVE}
    finish(going_on, build_ended(fetch_one(going_on)), DEFINITION)
    assert "deadlines" not in records(going_on)
    start = TWO * 1000 + 7_000
    going_on.call(occurrences.start_queued(going_on.keys, DEFINITION, 1, TWO, start))
    assert records(going_on)["deadlines"] == {WAITING: start + 30_000}


def test_a_job_without_a_time_out_leaves_no_deadlines(database):
    register(database, job())
    claim(database, job(), decision(ONE))
    assert "deadlines" not in records(database)
    assert "deadline" not in records(database)[f"occurrence:{LIVE}"]


def test_a_halted_occurrence_is_marked_and_looked_at_again(going_on):
    before = records(going_on)
    assert halt(going_on) == Reply("HALTED", [])
    marks = {"halt": "timed_out", "verdict": "timed_out", "error": "timed out after 30 s", "deadline": str(AGAIN)}
    assert records(going_on) == before | {
        f"occurrence:{LIVE}": before[f"occurrence:{LIVE}"] | marks,
        "deadlines": {LIVE: AGAIN},
    }


def test_a_second_send_of_the_same_call_changes_nothing(going_on):
    halt(going_on)
    with nothing_written(going_on):
        assert halt(going_on) == Reply("HALTED", [])


def test_what_halted_it_first_stays_the_verdict(going_on):
    halt(going_on, verdict=OccurrenceState.CANCELED, reason="canceled: not needed")
    halt(going_on)
    record = records(going_on)[f"occurrence:{LIVE}"]
    assert (record["verdict"], record["error"]) == ("canceled", "canceled: not needed")


def test_a_task_that_failed_before_under_continue_does_not_hide_that_the_time_was_over(database):
    definition = job(task("a"), task("b"), failure="continue", occurrence_timeout_s=30.0)
    register(database, definition)
    claim(database, definition, decision(ONE))
    finish(database, build_ended(fetch_one(database), "failed", final=True), definition)
    assert records(database)[f"occurrence:{LIVE}"]["verdict"] == "failed"
    halt(database)
    assert records(database)[f"occurrence:{LIVE}"]["verdict"] == "timed_out"


def test_the_occurrence_ends_with_the_verdict_when_its_last_run_has_ended(going_on):
    delivery = fetch_one(going_on)
    halt(going_on)
    finish(going_on, build_ended(delivery, "canceled"), DEFINITION)
    assert records(going_on)[f"occurrence:{LIVE}"]["state"] == "timed_out"
    assert "deadlines" not in records(going_on)


def test_an_attempt_that_fails_after_the_halt_is_not_tried_again(going_on):
    delivery = fetch_one(going_on)
    halt(going_on)
    assert finish(going_on, build_ended(delivery, "failed"), DEFINITION).word == "CANCELED"


def test_an_occurrence_that_has_ended_keeps_its_record_and_loses_its_deadline(going_on):
    finish(going_on, build_ended(fetch_one(going_on)), DEFINITION)
    going_on.client.zadd(going_on.keys.deadlines, {LIVE: AGAIN})
    before = records(going_on)
    assert halt(going_on) == Reply("GONE", [])
    del before["deadlines"]
    assert records(going_on) == before


def test_an_occurrence_that_is_not_on_record_is_gone(database):
    with nothing_written(database):
        assert halt(database) == Reply("GONE", [])
