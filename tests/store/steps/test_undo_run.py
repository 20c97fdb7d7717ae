import msgspec
import pytest

from jobistemer.core import ids
from jobistemer.core.runs.message import Undoing
from jobistemer.core.runs.settle import CANCELED, FinalState
from jobistemer.core.states import RunState
from jobistemer.store.actions import cancel
from jobistemer.store.calls.durable.steps import mark_durable
from jobistemer.store.scripts import Reply
from tests.support.lifecycle import build_ended, enqueue, fetch_one, finish
from tests.support.shard_state import nothing_written, records
from tests.support.steps import record, step, suspend

FIRST = ids.attempt_id("run_1", 0)
DEAD = FinalState(RunState.DEAD, "failed", spent=True)


@pytest.fixture
def begun(database):
    """The attempt of a run that has done a step which can be undone, as its worker has it."""
    enqueue(database)
    delivery = fetch_one(database)
    delivery = msgspec.structs.replace(delivery, message=mark_durable(delivery.message, can_undo=True))
    record(database, delivery, {"pay": step(can_undo=True)})
    return delivery


def fail(database, delivery, ending=DEAD):
    return finish(database, build_ended(delivery, "failed", ending=ending, error="no"))


def test_a_run_that_is_to_end_failed_gets_one_more_attempt_that_knows_how_it_ends(database, begun):
    assert fail(database, begun) == Reply("DONE", [])
    after = records(database)
    assert after["run:run_1"].items() >= {"state": "pending", "attempt": "1"}.items()
    assert after[f"attempt:{FIRST}"]["state"] == "failed"
    again = fetch_one(database, "bob")
    assert (again.attempt, again.message.undoing) == (1, Undoing("dead", "no", "failed", spent=True))
    finish(database, build_ended(again, "succeeded", "bob"))
    ended = records(database)["run:run_1"]
    assert (ended["state"], ended["error"]) == ("dead", "no")


def test_a_success_is_not_undone(database, begun):
    finish(database, build_ended(begun))
    assert records(database)["run:run_1"]["state"] == "succeeded"


def test_a_second_send_of_the_same_call_changes_nothing(database, begun):
    fail(database, begun)
    with nothing_written(database):
        assert fail(database, begun) == Reply("DONE", [])


def test_a_zombie_undoes_nothing(database, begun):
    finish(database, build_ended(begun, "lost"))
    with nothing_written(database):
        assert fail(database, begun) == Reply("STALE", [])


def test_without_any_record_nothing_is_written(database, begun):
    database.client.flushdb()
    with nothing_written(database):
        assert fail(database, begun) == Reply("STALE", [])


def test_a_suspended_run_that_is_canceled_is_undone_first(database, begun):
    suspend(database, begun, wait="paid")
    assert cancel.cancel_run(database, "run_1", "not wanted") == "CANCELED"
    after = records(database)["run:run_1"]
    assert after["state"] == "pending"
    assert {"wait", "cancel", "message"} & set(after) == set()
    assert "delayed" not in records(database)
    again = fetch_one(database, "bob")
    assert again.message.undoing.state == CANCELED.state
    finish(database, build_ended(again, "succeeded", "bob"))
    assert records(database)["run:run_1"].items() >= {"state": "canceled", "error": "canceled: not wanted"}.items()


def test_an_undoing_that_fails_for_good_is_on_record_beside_the_error(database, begun):
    fail(database, begun)
    finish(database, build_ended(fetch_one(database, "bob"), "failed", "bob", error="cannot undo", poison=True))
    assert records(database)["run:run_1"]["error"] == "no; undoing its steps failed: cannot undo"
