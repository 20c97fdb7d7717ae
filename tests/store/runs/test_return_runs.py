import pytest

from jobistemer.core.jobs.limits import LimitUse
from jobistemer.core.runs.message import encode_message
from jobistemer.store.actions import hand_back
from jobistemer.store.calls import limits, runs
from jobistemer.store.calls.returned_runs import Unstarted, return_runs
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import build_ended, enqueue, fetch, fetch_one, finish, message
from tests.support.shard_state import nothing_written, records

ONE = LimitUse("task/greet", 1, 0)
RATE = LimitUse("task/greet", 1, 10_000)


def give_back(database, *deliveries, uses=()):
    return database.call(return_runs(database.keys, [Unstarted(each, uses) for each in deliveries]))


def test_entries_go_to_the_front_of_their_queue_in_their_order_and_use_no_attempt(database):
    for n in range(4):
        enqueue(database, f"run_{n}")
    deliveries = fetch(database)
    assert give_back(database, *deliveries[1:]) == Reply("RETURNED", [])

    again = fetch(database, "bob", "default:10")
    assert [(each.message.run, each.attempt, each.crashes) for each in again] == [(f"run_{n}", 0, 0) for n in (1, 2, 3)]
    state = records(database)
    assert list(state["stream:default:5"].pending.values()) == ["alice"]
    assert state["stream:default:5"].entries.keys() == state["stream:default:5"].pending.keys()
    assert state["run:run_1"] == {
        "state": "pending",
        "handler": "greet",
        "place": "default:5",
        "entry": again[0].entry.decode(),
        "attempt": "0",
    }
    assert again[0].message == message("run_1")
    assert "default:10" in state["streams"]


def test_a_second_send_says_the_same_and_writes_nothing(database):
    enqueue(database)
    delivery = fetch_one(database)
    give_back(database, delivery)
    with nothing_written(database):
        assert give_back(database, delivery) == Reply("RETURNED", [])
    assert len(fetch(database, "bob", "default:10")) == 1


def test_a_worker_whose_entry_was_taken_over_returns_nothing(database):
    enqueue(database)
    delivery = fetch_one(database)
    finish(database, build_ended(delivery, "lost", worker="bob"))
    with nothing_written(database):
        assert give_back(database, delivery) == Reply("RETURNED", [])


def test_a_run_that_is_to_be_cancelled_is_named_and_the_others_go_back(database):
    for n in range(3):
        enqueue(database, f"run_{n}")
    deliveries = fetch(database)
    database.call(runs.request_cancel(database.keys, "run_1", deliveries[1].entry.decode(), NOW))
    assert give_back(database, *deliveries) == Reply("RETURNED", [2])
    assert [each.message.run for each in fetch(database, "bob", "default:10")] == ["run_0", "run_2"]


def test_who_returns_a_run_that_was_cancelled_ends_it(database):
    enqueue(database)
    delivery = fetch_one(database)
    database.call(runs.request_cancel(database.keys, "run_1", delivery.entry.decode(), NOW))
    hand_back.return_unstarted(database, [Unstarted(delivery)], "alice")
    run = records(database)["run:run_1"]
    # No attempt of it has begun, so there is none on record.
    assert (run["state"], run["unbegun"]) == ("canceled", "1")
    assert fetch(database, "bob", "default:10") == []


@pytest.mark.parametrize("use", [ONE, RATE])
def test_the_permits_of_a_run_go_with_it(database, use):
    enqueue(database, "run_1")
    delivery = fetch_one(database)
    database.call(limits.admit_run(database.keys, delivery, (use,), NOW))
    give_back(database, delivery, uses=(use,))
    again = fetch_one(database, "bob", "default:10")
    mark = f"default:10 {again.entry.decode()}"
    kept = {"held:task/greet": {"run_1": mark}} if use is ONE else {"rate:task/greet": {mark: NOW}}
    assert records(database).items() >= kept.items()

    # Then it is let in with the permit that it has, and counts once
    assert database.call(limits.admit_run(database.keys, again, (use,), NOW + 1)) == Reply("ADMITTED", [])
    assert records(database).items() >= kept.items()


def test_a_permit_that_another_entry_of_the_run_holds_is_left_alone(database):
    enqueue(database, "run_1")
    delivery = fetch_one(database)
    database.client.hset(database.keys.held(ONE.name), "run_1", "default:5 9-9")
    give_back(database, delivery, uses=(ONE,))
    assert records(database)["held:task/greet"] == {"run_1": "default:5 9-9"}


def test_a_run_whose_record_is_gone_goes_back_and_gets_no_half_of_a_record(database):
    enqueue(database)
    delivery = fetch_one(database)
    database.client.delete(database.keys.run("run_1"))
    give_back(database, delivery)
    assert "run:run_1" not in records(database)
    assert fetch_one(database, "bob", "default:10").message == message()


def test_an_entry_whose_stream_is_gone_is_passed_over(database):
    enqueue(database)
    delivery = fetch_one(database)
    database.client.delete(database.keys.stream("default:5"))
    with nothing_written(database):
        assert give_back(database, delivery) == Reply("RETURNED", [])


def test_more_than_a_hundred_go_back_in_their_order_too(database):
    for n in range(130):
        enqueue(database, f"run_{n:03}")
    deliveries = fetch(database, count=200)
    hand_back.return_unstarted(database, [Unstarted(each) for each in deliveries], "alice")
    again = fetch(database, "bob", "default:10", count=200)
    assert [each.message.run for each in again] == [each.message.run for each in deliveries]
    assert encode_message(again[0].message) == encode_message(deliveries[0].message)
