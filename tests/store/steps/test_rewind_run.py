import pytest

from jobistemer.store.actions import cancel
from jobistemer.store.calls import runs
from jobistemer.store.calls.durable.steps import rewind_run
from jobistemer.store.reads.records import find_run
from jobistemer.store.scripts import Reply
from tests.support.lifecycle import enqueue, fetch_one
from tests.support.shard_state import nothing_written, records
from tests.support.steps import LATER, record, step, suspend


@pytest.fixture
def suspended(database):
    """A run that sleeps behind two steps, as a caller has seen it."""
    enqueue(database)
    delivery = fetch_one(database)
    record(database, delivery, {"a": step(1, 2), "b": step(3, 4)})
    suspend(database, delivery, records={"sleep-1": step(5, 6, kind="sleep", due_at=LATER)})
    return find_run(database, "run_1")


def rewind(database, seen, *names):
    return database.call(rewind_run(database.keys, seen, names))


def test_a_suspended_run_goes_on_at_once_without_the_steps_that_it_does_again(database, suspended):
    assert rewind(database, suspended, "b", "sleep-1") == Reply("REWOUND", [])
    after = records(database)
    assert after["steps:run_1"] == {"a": step(1, 2).decode()}
    assert after["run:run_1"]["state"] == "pending"
    assert {"message", "due_at", "note"} & set(after["run:run_1"]) == set()
    assert "delayed" not in after
    assert fetch_one(database, "bob").attempt == 1


def test_a_second_send_of_the_same_call_changes_nothing(database, suspended):
    rewind(database, suspended, "b")
    with nothing_written(database):
        assert rewind(database, suspended, "b") == Reply("MOVED", [])


def test_a_run_that_woke_up_meanwhile_is_left_alone(database, suspended):
    database.call(runs.promote_runs(database.keys, ["default:5:run_1"], LATER))
    suspend(database, fetch_one(database, "bob"))
    with nothing_written(database):
        assert rewind(database, suspended, "b") == Reply("MOVED", [])


def test_a_run_that_has_ended_or_is_gone_is_left_alone(database, suspended):
    cancel.cancel_run(database, "run_1", "not wanted")
    with nothing_written(database):
        assert rewind(database, suspended, "b") == Reply("MOVED", [])
    database.client.flushdb()
    with nothing_written(database):
        assert rewind(database, suspended, "b") == Reply("MOVED", [])
