import pytest

from jobistemer.store.calls import runs
from jobistemer.store.calls.unknown_tasks import LONGEST_DELAY_MS, join_worker, put_off_unknown
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import build_ended, enqueue, fetch_one, finish
from tests.support.shard_state import find_leaks, nothing_written, records


def put_off(database, delivery, now=NOW):
    return database.call(put_off_unknown(database.keys, delivery, now, "no worker knows it"))


def test_a_run_comes_back_later_and_is_listed_for_the_next_worker(database):
    enqueue(database)
    assert put_off(database, fetch_one(database)) == Reply("LATER", [NOW + LONGEST_DELAY_MS])
    state = records(database)
    assert state["delayed"] == state["unknown"] == {"default:5:run_1": NOW + LONGEST_DELAY_MS}
    found = state["run:run_1"]
    assert (found["state"], found["entry"], found["attempt"], found["note"]) == (
        "scheduled",
        "",
        "0",
        "no worker knows it",
    )
    assert "stream:default:5" not in state or not state["stream:default:5"].entries
    assert "unknown" not in find_leaks(database)


@pytest.mark.parametrize(("ago_ms", "delay_ms"), [(0, 100), (150, 100), (1000, 500), (9000, 4500), (59_000, 5000)])
def test_soon_after_the_start_of_a_worker_it_comes_back_soon(database, ago_ms, delay_ms):
    enqueue(database)
    database.call(join_worker(database.keys, NOW - ago_ms))
    assert put_off(database, fetch_one(database)) == Reply("LATER", [NOW + delay_ms])


def test_a_second_send_writes_nothing(database):
    enqueue(database)
    delivery = fetch_one(database)
    put_off(database, delivery)
    with nothing_written(database):
        assert put_off(database, delivery) == Reply("STALE", [])


def test_an_entry_that_was_taken_over_is_left_alone(database):
    enqueue(database)
    delivery = fetch_one(database)
    finish(database, build_ended(delivery, "lost", worker="bob"))
    with nothing_written(database):
        assert put_off(database, delivery) == Reply("STALE", [])


def test_a_run_that_is_to_be_cancelled_is_not_put_off(database):
    enqueue(database)
    delivery = fetch_one(database)
    database.call(runs.request_cancel(database.keys, "run_1", delivery.entry.decode(), NOW))
    with nothing_written(database):
        assert put_off(database, delivery) == Reply("CANCELED", [])


def test_an_entry_whose_stream_is_gone_is_passed_over(database):
    enqueue(database)
    delivery = fetch_one(database)
    database.client.delete(database.keys.stream("default:5"))
    with nothing_written(database):
        assert put_off(database, delivery) == Reply("STALE", [])
