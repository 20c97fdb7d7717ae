import pytest

from jobistemer.core import ids
from jobistemer.core.errors import ServerRefused
from jobistemer.core.jobs.retries import Delays
from jobistemer.core.runs.message import GroupMember
from jobistemer.core.runs.settle import NextAttempt
from jobistemer.store.calls import run_ends, runs
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import (
    MINUTE,
    T0,
    build_ended,
    claim,
    decision,
    enqueue,
    fetch,
    fetch_one,
    finish,
    job,
    register,
    task,
)
from tests.support.shard_state import find_leaks, nothing_written, records, ttl_ms


def lost(delivery, worker="alice"):
    """What others make of an attempt whose worker died."""
    ended = build_ended(delivery, "lost", worker=worker, error=f"its worker {worker} died")
    return ended._replace(started_at=0, ending=NextAttempt(0, delivery.crashes + 1))


def lose_all(database, *all_lost):
    return database.call(run_ends.lose_runs(database.keys, all_lost))


def test_each_run_goes_back_exactly_as_the_script_for_one_would_put_it_back(database):
    enqueue(database, "run_1")
    database.call(run_ends.record_end(database.keys, lost(fetch_one(database)), None))
    one_by_one, expiry = records(database), ttl_ms(database, f"attempt:{ids.attempt_id('run_1', 0)}")
    database.client.flushdb()

    enqueue(database, "run_1")
    assert lose_all(database, lost(fetch_one(database))) == Reply("LOST", [[1], []])
    at_once = records(database)
    # The entries were added at different times.
    for state in (one_by_one, at_once):
        (entry,) = state.pop("stream:default:5").entries
        assert state["run:run_1"].pop("entry") == entry
    assert at_once == one_by_one
    assert ttl_ms(database, f"attempt:{ids.attempt_id('run_1', 0)}") == expiry


def test_a_hundred_runs_go_back_in_one_call_in_their_order_with_a_crash_on_record(database):
    for number in range(100):
        enqueue(database, f"run_{number}")
    reply = lose_all(database, *map(lost, fetch(database, count=100)))
    assert reply == Reply("LOST", [list(range(1, 101)), []])
    again = fetch(database, "bob", count=101)
    assert [(each.message.run, each.attempt, each.crashes) for each in again] == [
        (f"run_{n}", 1, 1) for n in range(100)
    ]
    found = records(database)
    assert {found[f"run:run_{number}"]["attempt"] for number in range(100)} == {"1"}
    assert {found[f"run:run_{number}"]["crashes"] for number in range(100)} == {"1"}
    assert all(key.startswith(("run:", "stream:")) for key in find_leaks(database))


def test_what_comes_after_the_first_hundred_is_left_alone(database):
    for number in range(101):
        enqueue(database, f"run_{number}")
    lose_all(database, *map(lost, fetch(database, count=101)))
    assert list(records(database)["stream:default:5"].pending.values()) == ["alice"]


def test_a_second_send_is_recognised_and_writes_nothing(database):
    enqueue(database, "run_1")
    enqueue(database, "run_2")
    both = [lost(each) for each in fetch(database)]
    lose_all(database, *both)
    with nothing_written(database):
        assert lose_all(database, *both) == Reply("LOST", [[1, 2], []])


def test_of_two_that_bury_a_worker_only_the_first_puts_a_run_back(database):
    enqueue(database)
    delivery = fetch_one(database)
    lose_all(database, lost(delivery))
    with nothing_written(database):
        assert lose_all(database, lost(delivery)._replace(ended_at=NOW + 1001)) == Reply("LOST", [[], []])


def test_an_attempt_that_its_worker_has_ended_before_is_not_lost_and_its_neighbours_are(database):
    for run in ("run_1", "run_2", "run_3"):
        enqueue(database, run)
    deliveries = fetch(database)
    finish(database, build_ended(deliveries[1]))
    ended = records(database)["run:run_2"]
    assert lose_all(database, *map(lost, deliveries)) == Reply("LOST", [[1, 3], []])
    assert records(database)["run:run_2"] == ended


def test_a_frozen_worker_that_wakes_up_is_refused(database):
    enqueue(database)
    delivery = fetch_one(database)
    lose_all(database, lost(delivery))
    with nothing_written(database):
        assert finish(database, build_ended(delivery)) == Reply("STALE", [])


def test_a_run_that_is_to_be_cancelled_is_named_and_nothing_is_written_for_it(database):
    enqueue(database, "run_1")
    enqueue(database, "run_2")
    first, second = fetch(database)
    database.call(runs.request_cancel(database.keys, "run_1", first.entry.decode(), NOW))
    before = records(database)["run:run_1"]
    assert lose_all(database, lost(first), lost(second)) == Reply("LOST", [[2], [1]])
    assert records(database)["run:run_1"] == before


def test_a_run_of_a_halted_occurrence_is_to_be_cancelled(database):
    definition = job(task("a", retry=Delays((5.0,))), task("b", retry=Delays()))
    register(database, definition)
    claim(database, definition, decision(T0 + MINUTE))
    a, b = fetch(database)
    finish(database, build_ended(b, "failed"), definition)
    with nothing_written(database):
        assert lose_all(database, lost(a)) == Reply("LOST", [[], [1]])


def test_runs_with_and_without_a_group_go_together(database):
    enqueue(database, "run_1")
    enqueue(database, "run_2", member=GroupMember("run_0", 0))
    enqueue(database, "run_3")
    assert lose_all(database, *map(lost, fetch(database))) == Reply("LOST", [[1, 2, 3], []])


def test_nothing_is_written_when_the_keys_are_missing(database):
    enqueue(database)
    delivery = fetch_one(database)
    database.client.flushdb()
    with nothing_written(database):
        assert lose_all(database, lost(delivery)) == Reply("LOST", [[], []])


def test_a_record_of_the_wrong_type_ends_the_script_before_its_entry_is_removed(database):
    enqueue(database)
    delivery = fetch_one(database)
    database.client.delete(database.keys.run("run_1"))
    database.client.set(database.keys.run("run_1"), "no hash")
    with nothing_written(database), pytest.raises(ServerRefused):
        lose_all(database, lost(delivery))


def test_the_reader_finds_the_attempts_by_their_positions():
    ended = [f"attempt {number}" for number in range(3)]
    assert run_ends.read_lost(Reply("LOST", [[1, 3], [2]]), ended) == (["attempt 0", "attempt 2"], ["attempt 1"])
