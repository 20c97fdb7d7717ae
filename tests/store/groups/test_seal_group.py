import pytest

from jobistemer.core.runs.message import encode_message
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.groups import add_children, child_id, group_of, hand_over, reducer
from tests.support.lifecycle import build_ended, enqueue, fetch, fetch_one, finish
from tests.support.shard_state import expiring_keys, find_leaks, nothing_written, records


@pytest.fixture
def parent(database):
    enqueue(database)
    return fetch_one(database)


def test_a_success_seals_the_group_and_the_reducer_waits_for_its_runs(database, parent):
    add_children(database, parent, range(2))
    assert hand_over(database, parent) == Reply("DONE", [], (Reply("SEALED", [2]),))
    after = records(database)
    assert after[f"group:{group_of()}"] == {"failure": "fail_fast", "added": "2", "total": "2"}
    assert after[f"run:{group_of()}"] == {
        "state": "pending",
        "handler": "total",
        "place": "default:5",
        "enqueued_at": str(NOW + 1000),
        "waits": "1",
        "message": encode_message(reducer()).decode(),
    }
    assert after["run:run_1"]["state"] == "succeeded"
    assert "reducer" not in after["run:run_1"]
    assert f"group:{group_of()}" in expiring_keys(database)
    assert "run:run_1" in expiring_keys(database)


def test_of_nothing_the_reducer_starts_at_once(database, parent):
    assert hand_over(database, parent).extensions == (Reply("RELEASED", [0]),)
    assert fetch_one(database).message == reducer()


def test_when_all_have_ended_the_reducer_starts_at_once(database, parent):
    add_children(database, parent, range(2))
    for each in fetch(database):
        finish(database, build_ended(each))
    assert hand_over(database, parent).extensions == (Reply("RELEASED", [2]),)
    assert fetch_one(database).message == reducer()


def test_a_second_send_releases_nothing_twice(database, parent):
    add_children(database, parent, range(1))
    finish(database, build_ended(fetch_one(database)))
    hand_over(database, parent)
    with nothing_written(database):
        assert hand_over(database, parent) == Reply("DONE", [], (Reply("BEFORE", []),))
    assert len(fetch(database)) == 1


def test_a_zombie_seals_nothing_and_its_successor_does(database, parent):
    add_children(database, parent, range(1))
    finish(database, build_ended(parent, "lost", "bob"))
    with nothing_written(database):
        assert hand_over(database, parent) == Reply("STALE", [], (Reply("BEFORE", []),))
    again = next(each for each in fetch(database, "bob") if each.message.run == "run_1")
    assert hand_over(database, again).extensions == (Reply("EXPIRING", [1]), Reply("SEALED", [1]))


def test_a_reducer_belongs_to_the_occurrence_of_its_parent(database):
    from jobistemer.core.runs.message import TaskRef

    slot = TaskRef("occ_1", "job_1", 1, 1, "fan")
    enqueue(database, task_ref=slot)
    parent = fetch_one(database)
    hand_over(database, parent, task_ref=slot)
    assert records(database)[f"run:{group_of()}"]["occurrence"] == "occ_1"


def test_at_the_end_everything_has_an_expiry(database, parent):
    add_children(database, parent, range(2))
    hand_over(database, parent)
    for each in fetch(database):
        finish(database, build_ended(each))
    finish(database, build_ended(fetch_one(database)))
    assert find_leaks(database) == {}
    assert {f"group:{group_of()}", f"results:{group_of()}", f"run:{child_id(0)}"} <= expiring_keys(database)
