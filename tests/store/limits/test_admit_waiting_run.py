import pytest

from jobistemer.core.jobs.limits import LimitUse
from jobistemer.core.runs.message import encode_message
from jobistemer.store.calls import limits
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import enqueue, fetch_one, message
from tests.support.shard_state import Stream, nothing_written, records

TASK, KEY = LimitUse("task/greet", 1, 0), LimitUse("task/greet:7", 1, 0)
MEMBER = "default:5:run_2"


@pytest.fixture
def full(database):
    """Run 1 holds the only slot of the task, run 2 waits for it."""
    for run in ("run_1", "run_2"):
        enqueue(database, run)
        database.call(limits.admit_run(database.keys, fetch_one(database), (TASK,), NOW))
    return database


def let_in(database, *uses, name="task/greet"):
    return database.call(limits.admit_waiting_run(database.keys, name, MEMBER, uses or (TASK,)))


def free(database, name="task/greet"):
    database.client.delete(database.keys.held(name))


def test_a_run_that_is_let_in_holds_its_slot_and_stands_at_the_front_of_its_queue(full):
    free(full)
    assert let_in(full) == Reply("ADMITTED", [])

    state = records(full)
    entry = state["run:run_2"]["entry"]
    assert state["run:run_2"] == {
        "state": "pending",
        "handler": "greet",
        "place": "default:5",
        "entry": entry,
        "attempt": "0",
        "crashes": "0",
        "limits": '[["task/greet",1,0]]',
    }
    text = encode_message(message("run_2")).decode()
    assert state["stream:default:10"] == Stream({entry: {"m": text, "n": "0", "c": "0"}}, {})
    assert state["held:task/greet"] == {"run_2": f"default:10 {entry}"}
    assert "waiting:task/greet" not in state
    assert "default:10" in state["streams"]


def test_a_second_send_lets_nobody_in_twice(full):
    free(full)
    let_in(full)
    with nothing_written(full):
        assert let_in(full) == Reply("GONE", [])


def test_a_run_waits_on_while_its_limit_is_full(full):
    with nothing_written(full):
        assert let_in(full) == Reply("FULL", [])


def test_a_higher_number_that_a_worker_has_said_since_lets_it_in(full):
    full.client.hset(full.keys.limits, "task/greet", 2)
    assert let_in(full, LimitUse("task/greet", 1, 0)) == Reply("ADMITTED", [])


def test_a_lower_number_that_a_worker_has_said_since_keeps_it_out(full):
    full.client.hset(full.keys.limits, "task/greet", 1)
    with nothing_written(full):
        assert let_in(full, LimitUse("task/greet", 2, 0)) == Reply("FULL", [])


def test_a_run_that_needs_another_limit_waits_there_with_the_time_it_has(full):
    free(full)
    full.client.hset(full.keys.held("task/greet:7"), "run_9", "default:5 1-1")
    since = full.client.zscore(full.keys.waiting("task/greet"), MEMBER)
    assert let_in(full, KEY, TASK) == Reply("MOVED", [b"task/greet:7"])

    state = records(full)
    assert full.client.zscore(full.keys.waiting("task/greet:7"), MEMBER) == since
    assert "waiting:task/greet" not in state
    assert (state["run:run_2"]["waiting"], state["run:run_2"]["note"]) == (
        "task/greet:7",
        "waits for limit task/greet:7",
    )
    assert "held:task/greet" not in state


def test_a_member_whose_run_is_gone_is_dropped(full):
    free(full)
    full.client.delete(full.keys.run("run_2"))
    assert let_in(full) == Reply("GONE", [])
    assert "waiting:task/greet" not in records(full)
