import pytest

from jobistemer.core.jobs.limits import LimitUse
from jobistemer.store.calls import limits
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import build_ended, enqueue, fetch_one, finish
from tests.support.shard_state import nothing_written, records

TASK = LimitUse("task/greet", 2, 0)


@pytest.fixture
def held(database):
    """Run 1 is in flight and holds a slot; gives its delivery."""
    enqueue(database)
    delivery = fetch_one(database)
    database.call(limits.admit_run(database.keys, delivery, (TASK,), NOW))
    return delivery


def release(database, delivery, *uses):
    holding = (delivery.message.run, delivery.stream, delivery.entry, uses or (TASK,))
    return database.call(limits.release_limits(database.keys, holding))


def test_a_slot_is_given_back_once_its_attempt_has_ended(database, held):
    finish(database, build_ended(held))
    assert release(database, held) == Reply("RELEASED", [1])
    assert not {"held:task/greet", "limits"} & records(database).keys()


def test_a_second_send_gives_nothing_back_twice(database, held):
    finish(database, build_ended(held))
    release(database, held)
    with nothing_written(database):
        assert release(database, held) == Reply("RELEASED", [0])


def test_a_slot_is_kept_while_its_attempt_goes_on(database, held):
    with nothing_written(database):
        assert release(database, held) == Reply("HELD", [])


def test_a_zombie_does_not_give_back_the_slot_of_the_next_attempt(database, held):
    finish(database, build_ended(held, "lost", worker="bob"))
    again = fetch_one(database, "bob")
    database.call(limits.admit_run(database.keys, again, (TASK,), NOW))
    with nothing_written(database):
        assert release(database, held) == Reply("RELEASED", [0])


def test_a_limit_that_others_use_stays_listed(database, held):
    enqueue(database, "run_2")
    other = fetch_one(database)
    database.call(limits.admit_run(database.keys, other, (TASK,), NOW))
    finish(database, build_ended(held))
    assert release(database, held) == Reply("RELEASED", [1])
    assert records(database)["limits"].keys() == {"task/greet"}
    assert list(records(database)["held:task/greet"]) == ["run_2"]


def test_a_slot_whose_stream_is_gone_is_free(database, held):
    database.client.delete(database.keys.stream("default:5"))
    assert release(database, held) == Reply("RELEASED", [1])


def test_the_name_of_a_limit_that_no_run_uses_is_dropped_by_a_call_without_a_run(database):
    database.client.hset(database.keys.limits, "task/greet", 2)
    reply = database.call(limits.release_limits(database.keys, ("", b"", b"", (TASK,))))
    assert reply == Reply("RELEASED", [0])
    assert "limits" not in records(database)
