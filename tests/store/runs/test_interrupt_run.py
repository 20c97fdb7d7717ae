import pytest

from jobistemer.core import ids
from jobistemer.store.actions import cancel, hand_back
from jobistemer.store.calls import runs
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import (
    MINUTE,
    T0,
    build_ended,
    claim,
    decision,
    enqueue,
    fetch,
    fetch_one,
    finish,
    job,
    message,
    register,
)
from tests.support.shard_state import nothing_written, records

FIRST = ids.attempt_id("run_1", 0)


def interrupt(database, delivery):
    return database.call(runs.interrupt_run(database.keys, delivery))


def begun(database):
    """A run whose handler has begun; gives its delivery."""
    enqueue(database)
    delivery = fetch_one(database)
    database.call(runs.start_attempt(database.keys, delivery, "alice", NOW))
    return delivery


def test_an_interrupted_run_is_pending_at_once_and_has_used_up_no_attempt(database):
    assert interrupt(database, begun(database)) == Reply("DONE", [])

    after = records(database)
    assert after["run:run_1"].items() >= {"state": "pending", "attempt": "0", "interruptions": "1"}.items()
    assert f"attempt:{FIRST}" not in after
    again = fetch_one(database, "bob")
    assert (again.attempt, again.crashes, again.message) == (0, 0, message())
    assert records(database)["run:run_1"]["entry"] == again.entry.decode()


def test_interruptions_are_counted_and_never_bury_a_run(database):
    delivery = begun(database)
    for _ in range(message().max_crashes + 3):
        assert interrupt(database, delivery) == Reply("DONE", [])
        delivery = fetch_one(database)
    assert records(database)["run:run_1"]["interruptions"] == str(message().max_crashes + 3)
    assert finish(database, build_ended(delivery, "succeeded")) == Reply("DONE", [])


def test_crashes_before_the_interruption_stay_counted(database):
    enqueue(database)
    finish(database, build_ended(fetch_one(database), "lost"))
    interrupt(database, fetch_one(database, "bob"))
    again = fetch_one(database, "carol")
    assert (again.attempt, again.crashes) == (1, 1)


def test_a_second_send_of_the_same_call_changes_nothing(database):
    delivery = begun(database)
    interrupt(database, delivery)
    with nothing_written(database):
        assert interrupt(database, delivery) == Reply("STALE", [])


@pytest.mark.parametrize("state", ["succeeded", "failed", "lost", "canceled"])
def test_a_zombie_cannot_interrupt_an_attempt_that_has_ended(database, state):
    delivery = begun(database)
    finish(database, build_ended(delivery, state))
    with nothing_written(database):
        assert interrupt(database, delivery) == Reply("STALE", [])


def test_a_zombie_cannot_commit_what_it_was_interrupted_in(database):
    delivery = begun(database)
    interrupt(database, delivery)
    with nothing_written(database):
        assert finish(database, build_ended(delivery, "succeeded")) == Reply("STALE", [])


def test_without_any_record_nothing_is_written(database):
    delivery = begun(database)
    database.client.flushdb()
    with nothing_written(database):
        assert interrupt(database, delivery) == Reply("STALE", [])


def test_a_run_that_was_asked_to_be_canceled_ends_so_instead_of_going_back(database):
    delivery = begun(database)
    cancel.cancel_run(database, "run_1", "not wanted")
    with nothing_written(database):
        assert interrupt(database, delivery) == Reply("CANCELED", [])
    hand_back.interrupt(database, [delivery], "alice")
    after = records(database)
    assert after["run:run_1"]["state"] == "canceled"
    assert after[f"attempt:{FIRST}"]["error"] == "canceled while its worker ended"
    assert fetch(database) == []


def test_the_run_of_a_halted_occurrence_does_not_go_back(database):
    register(database, job())
    claim(database, job(), decision(T0 + MINUTE))
    delivery = fetch_one(database)
    occurrence = ids.occurrence_id(job().id, T0 + MINUTE)
    database.client.hset(database.keys.occurrence(occurrence), "halt", "canceled")
    with nothing_written(database):
        assert interrupt(database, delivery) == Reply("CANCELED", [])
