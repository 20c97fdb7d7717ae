import pytest

from jobistemer.core import ids
from jobistemer.core.runs.message import GroupMember
from jobistemer.store.actions import cancel
from jobistemer.store.calls import bulk_commit, groups
from jobistemer.store.calls.durable.steps import wake_parent
from jobistemer.store.scripts import Reply
from tests.support.lifecycle import build_ended, enqueue, fetch, fetch_one, finish, message
from tests.support.shard_state import nothing_written, records
from tests.support.steps import suspend

GROUP = ids.reducer_run_id("run_1", 49)
MEMBER = GroupMember(GROUP, 0, "default:5", "run_1")


def begin(database, count=2):
    """A run whose attempt has added the runs of a step."""
    enqueue(database)
    parent = fetch_one(database)
    children = [
        message(ids.child_run_id(GROUP, index), member=GroupMember(GROUP, index, "default:5", "run_1"))
        for index in range(count)
    ]
    database.call(groups.add_children(database.keys, parent, "fail_fast", 0, children, 49))
    return parent


def wait(database, parent, count=2):
    assert suspend(database, parent, group=GROUP, members=count).word == "DONE"


@pytest.fixture
def children(database):
    """The runs of the step in flight, whose parent waits for them."""
    wait(database, begin(database))
    return fetch(database)


def wake(database):
    return database.call(wake_parent(database.keys, MEMBER))


def test_the_parent_waits_for_the_group_and_is_woken_by_the_last_end(database, children):
    first, second = children
    before = records(database)
    assert (before["run:run_1"]["state"], before["run:run_1"]["wait"]) == ("suspended", f":{GROUP}")
    finish(database, build_ended(first, result=b"1"))
    assert records(database)["run:run_1"] == before["run:run_1"]
    finish(database, build_ended(second, result=b"2"))
    after = records(database)
    assert after["run:run_1"]["state"] == "pending"
    assert {"message", "due_at", "note", "wait"} & set(after["run:run_1"]) == set()
    assert "delayed" not in after
    assert fetch_one(database, "bob").attempt == 1


def test_an_end_that_failed_wakes_it_too(database, children):
    for each in children:
        finish(database, build_ended(each, "failed", error="no", final=True))
    assert fetch_one(database, "bob").message.run == "run_1"


def test_ends_that_are_recorded_together_wake_it_in_the_same_step(database, children):
    ended = [build_ended(each, result=b"1") for each in children]
    reply = database.call(bulk_commit.commit_successes(database.keys, ended))
    assert (reply.word, reply.extensions) == ("DONE", (Reply("WOKEN", []),))
    assert fetch_one(database, "bob").message.run == "run_1"


def test_what_has_ended_before_it_waits_sends_it_to_its_stream_at_once(database):
    parent = begin(database)
    for each in fetch(database):
        finish(database, build_ended(each))
    wait(database, parent)
    assert fetch_one(database, "bob").attempt == 1
    assert "delayed" not in records(database)


def test_a_second_send_of_the_same_call_changes_nothing(database, children):
    for each in children:
        finish(database, build_ended(each))
    with nothing_written(database):
        assert wake(database) == Reply("LEFT", [])


def test_a_zombie_that_ends_a_run_of_an_earlier_step_does_not_wake_it(database, children):
    for each in children:
        finish(database, build_ended(each))
    suspend(database, fetch_one(database, "bob"), wait="approved")
    with nothing_written(database):
        assert wake(database) == Reply("LEFT", [])


def test_a_parent_that_has_ended_stays_so(database, children):
    cancel.cancel_run(database, "run_1", "not wanted")
    for each in children:
        finish(database, build_ended(each))
    with nothing_written(database):
        assert wake(database) == Reply("LEFT", [])


def test_without_any_record_nothing_is_written(database):
    with nothing_written(database):
        assert wake(database) == Reply("LEFT", [])
