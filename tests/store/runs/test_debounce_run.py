import pytest

from jobistemer.core.runs.message import decode_message, encode_message
from jobistemer.store.calls import runs
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import fetch_one, message
from tests.support.shard_state import nothing_written, records

WAIT, LONGEST = 60_000, 150_000


def call(database, run="run_1", seen="", now=NOW, **changes):
    window = (now + WAIT, now + LONGEST)
    return database.call(runs.debounce_run(database.keys, message(run, **changes), "k", window, now, seen))


def test_the_first_call_creates_a_run_that_waits_for_silence(database):
    assert call(database) == Reply("CREATED", [])
    assert records(database) == {
        "run:run_1": {
            "state": "scheduled",
            "handler": "greet",
            "place": "default:5",
            "due_at": str(NOW + WAIT),
            "latest": str(NOW + LONGEST),
            "message": encode_message(message("run_1")).decode(),
            "attempt": "0",
            "crashes": "0",
        },
        "delayed": {"default:5:run_1": NOW + WAIT},
        "unique:k": "run_1",
    }
    assert 0 < database.client.pttl(database.keys.unique("k")) <= WAIT


def test_a_second_send_of_the_first_call_writes_nothing(database):
    call(database)
    with nothing_written(database):
        assert call(database) == Reply("MINE", [])


def test_a_further_call_is_told_of_the_run_that_waits(database):
    call(database)
    with nothing_written(database):
        assert call(database, "run_2") == Reply("EXISTS", [b"run_1"])


@pytest.mark.parametrize("times", [1, 2])
def test_a_further_call_puts_the_run_off_and_has_the_last_word_also_when_it_is_sent_twice(database, times):
    call(database)
    for _ in range(times):
        assert call(database, "run_2", "run_1", NOW + 20_000, metadata={"n": "2"}) == Reply("MOVED", [b"run_1"])
    state = records(database)
    assert state["delayed"] == {"default:5:run_1": NOW + 20_000 + WAIT}
    assert state["run:run_1"]["message"] == encode_message(message("run_1", metadata={"n": "2"})).decode()
    assert "run:run_2" not in state


def test_no_call_puts_it_off_beyond_what_the_first_call_allowed(database):
    call(database)
    call(database, "run_2", "run_1", NOW + 120_000)
    assert records(database)["delayed"] == {"default:5:run_1": NOW + LONGEST}
    assert records(database)["run:run_1"]["due_at"] == str(NOW + LONGEST)


def test_a_call_after_the_run_has_started_makes_a_new_one(database):
    call(database)
    database.call(runs.promote_runs(database.keys, ["default:5:run_1"], NOW + WAIT))
    fetch_one(database)
    assert call(database, "run_2", "run_1", NOW + WAIT) == Reply("CREATED", [])
    assert records(database)["delayed"] == {"default:5:run_2": NOW + WAIT + WAIT}
    assert records(database)["unique:k"] == "run_2"


def test_a_call_after_the_lock_has_expired_makes_a_new_run(database):
    call(database)
    database.client.delete(database.keys.unique("k"))
    assert call(database, "run_2") == Reply("CREATED", [])


def test_a_run_whose_record_is_gone_is_not_put_off(database):
    call(database)
    database.client.delete(database.keys.run("run_1"), database.keys.delayed)
    assert call(database, "run_2", "run_1") == Reply("CREATED", [])


def test_a_closed_queue_takes_no_new_run_but_lets_the_waiting_one_be_put_off(database):
    call(database)
    database.client.sadd(database.keys.closed, "default:5")
    assert call(database, "run_2", "run_1", NOW + 1) == Reply("MOVED", [b"run_1"])
    database.client.delete(database.keys.unique("k"))
    with nothing_written(database):
        assert call(database, "run_3") == Reply("CLOSED", [])


def test_the_run_of_an_earlier_call_keeps_the_time_of_the_latest_one(database):
    first, second = runs.new_run_id(NOW), runs.new_run_id(NOW + 20_000)
    call(database, first, enqueued_at=0)
    call(database, second, first, NOW + 20_000, enqueued_at=0)
    moved = decode_message(records(database)[f"run:{first}"]["message"])
    assert (moved.run, moved.enqueue_ms) == (first, NOW + 20_000)
