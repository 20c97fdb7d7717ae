import pytest

from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.store.calls import groups, run_ends
from jobistemer.store.scripts import Reply
from tests.support.groups import add_children, child, group_of, hand_over
from tests.support.lifecycle import build_ended, enqueue, fetch, fetch_one, finish
from tests.support.shard_state import expiring_keys, nothing_written, records


@pytest.fixture
def children(database):
    """Two children in flight, whose parent has handed over."""
    enqueue(database)
    parent = fetch_one(database)
    add_children(database, parent, range(2), retry=NO_RETRIES)
    hand_over(database, parent)
    return fetch(database)


def group(database):
    return records(database)[f"group:{group_of()}"]


def results(database):
    return records(database)[f"results:{group_of()}"]


def count(database, delivery):
    return database.call(groups.count_member(database.keys, delivery.message.run, delivery.message.member))


def test_the_end_of_a_child_is_counted_and_its_result_kept(database, children):
    finish(database, build_ended(children[1], result=b"16"))
    assert group(database) == {"failure": "fail_fast", "added": "2", "total": "2", "done": "1"}
    assert results(database) == {"1": "16"}
    assert {f"group:{group_of()}", f"results:{group_of()}"} <= expiring_keys(database)
    assert "uncounted" not in records(database)[f"run:{children[1].message.run}"]
    assert records(database)[f"run:{group_of()}"]["waits"] == "1"


def test_the_last_one_releases_the_reducer(database, children):
    for each in children:
        finish(database, build_ended(each))
    (reducer,) = fetch(database)
    assert (reducer.message.run, reducer.message.group_strategy) == (group_of(), "fail_fast")
    held = records(database)[f"run:{group_of()}"]
    assert "waits" not in held
    assert "message" not in held
    assert results(database) == {"0": "null", "1": "null"}


def test_a_second_send_counts_nothing_twice(database, children):
    over = build_ended(children[0])
    finish(database, over)
    with nothing_written(database):
        finish(database, over)


def test_what_has_not_ended_is_not_counted(database, children):
    with nothing_written(database):
        assert count(database, children[0]) == Reply("BEFORE", [])


@pytest.mark.parametrize("says", ["succeeded", "failed"])
def test_a_zombie_is_not_counted(database, children, says):
    finish(database, build_ended(children[0], "lost", "bob"))
    with nothing_written(database):
        finish(database, build_ended(children[0], says))


def test_a_lost_attempt_is_counted_when_its_run_has_ended(database, children):
    finish(database, build_ended(children[0], "lost", "alice"))
    assert "done" not in group(database)
    finish(database, build_ended(fetch_one(database, "bob"), worker="bob"))
    assert group(database)["done"] == "1"


def test_the_first_failure_halts_a_group_that_fails_fast_and_is_kept_with_its_index(database, children):
    assert count_word(database, children[1], "failed", "ValueError: odd") == "HALTED"
    assert count_word(database, children[0], "failed", "ValueError: even") == "COUNTED"
    assert group(database) == {
        "failure": "fail_fast",
        "added": "2",
        "total": "2",
        "done": "2",
        "failed": "2",
        "halt": "1",
        "error": "item 1 dead: ValueError: odd",
    }
    assert results(database) == {"1": "!dead: ValueError: odd", "0": "!dead: ValueError: even"}
    assert fetch_one(database).message.run == group_of()


def test_a_second_send_says_once_more_that_the_group_is_halted(database, children):
    # The answer to the first send was lost: without the word nobody would cancel the runs that wait for a retry.
    over = build_ended(children[1], "failed", error="ValueError: odd")
    call = run_ends.record_end(database.keys, over, None)
    first = database.call(call)
    with nothing_written(database):
        again = database.call(call)
    assert [each.extensions[0] for each in (first, again)] == [Reply("HALTED", [1])] * 2


def two_children(database, failure):
    """The children of a group with another strategy than `fail_fast`, as a worker has fetched them."""
    enqueue(database)
    parent = fetch_one(database)
    add_children(database, parent, range(2), failure, retry=NO_RETRIES)
    hand_over(database, parent, failure)
    return fetch(database)


@pytest.mark.parametrize("failure", ["continue", "retry_on_failure"])
def test_a_second_send_halts_nothing_under_the_other_strategies(database, failure):
    first, _ = two_children(database, failure)
    call = run_ends.record_end(database.keys, build_ended(first, "failed", error="no"), None)
    database.call(call)
    assert database.call(call).extensions[0].word == "BEFORE"


def test_a_success_that_is_sent_twice_in_a_halted_group_halts_nothing_again(database, children):
    count_word(database, children[1], "failed", "no")
    call = run_ends.record_end(database.keys, build_ended(children[0]), None)
    database.call(call)
    assert database.call(call).extensions[0].word == "BEFORE"


def count_word(database, delivery, state, error):
    over = build_ended(delivery, state, error=error)
    return database.call(run_ends.record_end(database.keys, over, None)).extensions[0].word


@pytest.mark.parametrize("failure", ["continue", "retry_on_failure"])
def test_the_other_strategies_halt_nothing(database, failure):
    first, _ = two_children(database, failure)
    assert count_word(database, first, "failed", "no") == "COUNTED"
    assert "halt" not in group(database)


def test_children_that_end_before_the_parent_release_nothing(database):
    enqueue(database)
    parent = fetch_one(database)
    add_children(database, parent, range(2))
    for each in fetch(database):
        finish(database, build_ended(each))
    assert group(database) == {"failure": "fail_fast", "added": "2", "done": "2"}
    assert f"run:{group_of()}" not in records(database)


def test_in_a_halted_group_nothing_is_tried_again(database):
    enqueue(database)
    parent = fetch_one(database)
    add_children(database, parent, range(2))
    hand_over(database, parent)
    first, second = fetch(database)
    database.call(groups.halt_group(database.keys, group_of(), "asked for"))
    with nothing_written(database):
        assert finish(database, build_ended(first, "failed")) == Reply("CANCELED", [])
    finish(database, build_ended(second, "canceled"))
    assert group(database)["failed"] == "1"


def test_a_group_that_has_expired_leaves_nothing_that_lives_for_ever(database, children):
    database.client.delete(database.keys.group(group_of()))
    finish(database, build_ended(children[0]))
    assert f"group:{group_of()}" in expiring_keys(database)


def test_a_child_carries_its_group_on_the_wire():
    from jobistemer.core.runs.message import decode_message, encode_message

    assert decode_message(encode_message(child(7))) == child(7)
    assert b'"member":{"group"' in encode_message(child(7))
