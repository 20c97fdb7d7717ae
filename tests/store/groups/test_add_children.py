import pytest

from jobistemer.core.runs.message import encode_message
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.groups import add_children, child, child_id, group_of
from tests.support.lifecycle import build_ended, enqueue, fetch, fetch_one, finish
from tests.support.shard_state import expiring_keys, nothing_written, records


@pytest.fixture
def parent(database):
    enqueue(database)
    return fetch_one(database)


def test_each_child_is_a_run_on_its_stream_and_the_group_counts_them(database, parent):
    before = records(database)
    assert add_children(database, parent, range(2)) == Reply("ADDED", [2])

    after = records(database)
    entries = [after[f"run:{child_id(index)}"]["entry"] for index in range(2)]
    assert after == before | {
        "run:run_1": before["run:run_1"] | {"maps": "1"},
        f"group:{group_of()}": {"failure": "fail_fast", "added": "2"},
        **{
            f"run:{child_id(index)}": {
                "state": "pending",
                "handler": "square",
                "place": "default:5",
                "enqueued_at": str(NOW),
                "group": group_of(),
                "entry": entries[index],
            }
            for index in range(2)
        },
        "stream:default:5": after["stream:default:5"],
    }
    for index, entry in enumerate(entries):
        wire = {"m": encode_message(child(index)).decode(), "n": "0", "c": "0"}
        assert after["stream:default:5"].entries[entry] == wire
    assert f"group:{group_of()}" in expiring_keys(database)


def test_a_second_send_adds_nothing(database, parent):
    add_children(database, parent, range(3))
    with nothing_written(database):
        assert add_children(database, parent, range(3)) == Reply("ADDED", [3])


def test_an_attempt_after_a_crash_adds_only_what_is_missing(database, parent):
    add_children(database, parent, range(100))
    for each in fetch(database, count=7):
        finish(database, build_ended(each))
    finish(database, build_ended(parent, "lost", "alice"))
    (again,) = [each for each in fetch(database, "bob", count=200) if each.message.run == "run_1"]

    before = records(database)
    assert add_children(database, again, range(100)) == Reply("ADDED", [100])
    assert records(database) == before
    assert add_children(database, again, range(100, 150)) == Reply("ADDED", [150])
    assert set(records(database)) - set(before) == {f"run:{child_id(index)}" for index in range(100, 150)}


def test_a_batch_that_reaches_further_than_the_one_before_adds_the_rest(database, parent):
    add_children(database, parent, range(3))
    assert add_children(database, parent, range(5)) == Reply("ADDED", [5])
    assert len(fetch(database, count=100)) == 5


def test_a_zombie_adds_nothing(database, parent):
    finish(database, build_ended(parent, "lost", "bob"))
    with nothing_written(database):
        assert add_children(database, parent, range(2)) == Reply("STALE", [])


def test_a_parent_that_has_ended_adds_nothing(database, parent):
    finish(database, build_ended(parent))
    with nothing_written(database):
        assert add_children(database, parent, range(2)) == Reply("STALE", [])


def test_a_gap_is_not_filled_when_the_group_is_gone(database, parent):
    add_children(database, parent, range(2))
    database.client.delete(database.keys.group(group_of()))
    with nothing_written(database):
        assert add_children(database, parent, range(2, 4)) == Reply("STALE", [])


def test_children_open_the_stream_of_their_own_queue(database, parent):
    add_children(database, parent, range(2), queue="bulk", priority=1)
    assert [each.message.run for each in fetch(database, where="bulk:1")] == [child_id(0), child_id(1)]
    assert records(database)["streams"] == {"default:5", "bulk:1"}


def test_the_strategy_of_the_first_batch_stays(database, parent):
    add_children(database, parent, range(1), failure="continue")
    add_children(database, parent, range(1, 2), failure="fail_fast")
    assert records(database)[f"group:{group_of()}"] == {"failure": "continue", "added": "2"}
