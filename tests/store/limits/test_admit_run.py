import pytest

from jobistemer.core.jobs.limits import LimitUse
from jobistemer.core.runs.message import encode_message
from jobistemer.store.calls import limits, runs
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import build_ended, enqueue, fetch_one, finish, message
from tests.support.shard_state import find_leaks, nothing_written, records
from tests.support.wakeups import collect_wakeups

ONE, KEY = LimitUse("task/greet", 1, 0), LimitUse("task/greet:7", 1, 0)
RATE = LimitUse("task/greet", 2, 10_000)


def admit(database, delivery, *uses, now=NOW):
    return database.call(limits.admit_run(database.keys, delivery, uses or (ONE,), now))


def arrive(database, run, worker="alice"):
    enqueue(database, run)
    return fetch_one(database, worker)


def mark(delivery):
    return f"default:5 {delivery.entry.decode()}"


def test_a_run_is_let_in_while_there_is_room_and_says_what_it_holds(database):
    delivery = arrive(database, "run_1")
    before = records(database)
    assert admit(database, delivery, ONE, KEY) == Reply("ADMITTED", [])
    assert records(database) == before | {
        "run:run_1": before["run:run_1"] | {"limits": '[["task/greet",1,0],["task/greet:7",1,0]]'},
        "held:task/greet": {"run_1": mark(delivery)},
        "held:task/greet:7": {"run_1": mark(delivery)},
        "limits": {"task/greet": "1", "task/greet:7": "1"},
    }


@pytest.mark.parametrize("use", [ONE, RATE])
def test_a_second_send_says_the_same_and_takes_nothing_twice(database, use):
    delivery = arrive(database, "run_1")
    admit(database, delivery, use)
    with nothing_written(database):
        assert admit(database, delivery, use, now=NOW + 5) == Reply("ADMITTED", [])


def test_a_run_waits_when_a_limit_is_full_and_leaves_its_stream(database):
    admit(database, arrive(database, "run_1"))
    second = arrive(database, "run_2")
    assert admit(database, second) == Reply("WAITS", [b"task/greet"])

    state = records(database)
    assert state["run:run_2"] == {
        "state": "scheduled",
        "handler": "greet",
        "place": "default:5",
        "entry": "",
        "message": encode_message(message("run_2")).decode(),
        "attempt": "0",
        "crashes": "0",
        "limits": '[["task/greet",1,0]]',
        "waiting": "task/greet",
        "note": "waits for limit task/greet",
    }
    assert list(state["waiting:task/greet"]) == ["default:5:run_2"]
    assert second.entry.decode() not in state["stream:default:5"].entries


def test_all_limits_are_taken_or_none(database):
    admit(database, arrive(database, "run_1"), KEY)
    admit(database, arrive(database, "run_2"), LimitUse("task/greet", 5, 0), KEY)
    assert "held:task/greet" not in records(database)


def test_a_newcomer_does_not_overtake_those_that_wait(database):
    first = arrive(database, "run_1")
    admit(database, first)
    admit(database, arrive(database, "run_2"))
    database.client.delete(database.keys.held("task/greet"))
    assert admit(database, arrive(database, "run_3")) == Reply("WAITS", [b"task/greet"])
    assert list(records(database)["waiting:task/greet"]) == ["default:5:run_2", "default:5:run_3"]


def test_a_zombie_is_not_let_in_with_an_entry_that_was_taken_from_it(database):
    delivery = arrive(database, "run_1")
    finish(database, build_ended(delivery, "lost", worker="bob"))
    with nothing_written(database):
        assert admit(database, delivery) == Reply("STALE", [])


def test_a_run_that_comes_again_takes_over_the_slot_that_its_lost_attempt_left(database):
    delivery = arrive(database, "run_1")
    admit(database, delivery)
    finish(database, build_ended(delivery, "lost", worker="bob"))
    again = fetch_one(database, "bob")
    assert admit(database, again) == Reply("ADMITTED", [])
    assert records(database)["held:task/greet"] == {"run_1": mark(again)}


def test_a_rate_counts_starts_and_promises_the_others_a_time(database):
    for run in ("run_1", "run_2"):
        assert admit(database, arrive(database, run), RATE) == Reply("ADMITTED", [])
    with collect_wakeups(database) as heard:
        assert admit(database, arrive(database, "run_3"), RATE, now=NOW + 1) == Reply("LATER", [NOW + 10_000])
    assert heard == ["run"]
    state = records(database)
    assert state["delayed"] == {"default:5:run_3": NOW + 10_000}
    assert state["promised:task/greet"] == {"run_3": NOW + 10_000}
    assert (state["run:run_3"]["state"], state["run:run_3"]["due_at"]) == ("scheduled", str(NOW + 10_000))
    assert state["stream:default:5"].entries.keys() == state["stream:default:5"].pending.keys()


def test_promises_are_as_far_apart_as_the_rate_asks(database):
    promised = [admit(database, arrive(database, f"run_{n}"), RATE).values for n in range(6)]
    assert promised == [[], [], [NOW + 10_000], [NOW + 10_000], [NOW + 20_000], [NOW + 20_000]]


def promote(database, run, at):
    assert database.call(runs.promote_runs(database.keys, [f"default:5:{run}"], at)) == Reply("PROMOTED", [1])


@pytest.mark.parametrize("behind_ms", [0, 1, 30])
def test_a_promise_is_kept_by_a_worker_whose_clock_is_behind_that_of_the_ticker(database, behind_ms):
    # Given a run with a promise, and others that came after it
    for n in range(8):
        admit(database, arrive(database, f"run_{n}"), RATE)
    due = NOW + 10_000

    # When the ticker finds that it is due, and the worker has an earlier time
    promote(database, "run_2", due)
    assert admit(database, fetch_one(database, "bob"), RATE, now=due - behind_ms) == Reply("ADMITTED", [])

    # Then the others keep their places
    promote(database, "run_3", due)
    assert admit(database, fetch_one(database, "bob"), RATE, now=due - behind_ms) == Reply("ADMITTED", [])
    assert records(database)["promised:task/greet"] == {f"run_{n}": NOW + n // 2 * 10_000 for n in range(4, 8)}


def test_a_turn_that_is_far_ahead_has_not_come(database):
    for n in range(6):
        admit(database, arrive(database, f"run_{n}"), RATE)
    promote(database, "run_5", NOW + 20_000)
    assert admit(database, fetch_one(database, "bob"), RATE, now=NOW + 100).word == "LATER"


def test_what_a_rate_keeps_expires_by_itself(database):
    deliveries = [arrive(database, f"run_{n}") for n in range(3)]
    for delivery in deliveries:
        admit(database, delivery, RATE)
    assert not {"rate:task/greet", "promised:task/greet"} & find_leaks(database).keys()


def test_nothing_is_promised_by_a_rate_while_another_limit_is_full(database):
    admit(database, arrive(database, "run_1"), KEY)
    assert admit(database, arrive(database, "run_2"), KEY, RATE) == Reply("WAITS", [b"task/greet:7"])
    assert not {"rate:task/greet", "promised:task/greet"} & records(database).keys()


def test_a_run_whose_record_is_gone_may_start_all_the_same(database):
    delivery = arrive(database, "run_1")
    database.client.delete(database.keys.run("run_1"))
    assert admit(database, delivery) == Reply("ADMITTED", [])
