import msgspec
import pytest

from jobistemer.core import ids
from jobistemer.core.errors import ServerRefused
from jobistemer.core.runs.message import Delivery, GroupMember
from jobistemer.store.calls import bulk_commit, runs
from jobistemer.store.calls.durable.steps import mark_durable
from jobistemer.store.reads.records import find_run
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import build_ended, enqueue, fetch, fetch_one, finish, message
from tests.support.shard_state import Stream, find_leaks, nothing_written, records, ttl_ms

DAY = 86_400_000


def finish_all(database, *all_ended):
    return database.call(bulk_commit.commit_successes(database.keys, all_ended))


def lose(database, delivery):
    return finish(database, build_ended(delivery, "lost", error="its worker alice died"))


def test_each_run_is_recorded_exactly_as_the_script_for_one_would(database):
    enqueue(database, "run_1")
    finish(database, build_ended(fetch_one(database), result=b"42"))
    one_by_one = records(database)
    database.client.flushdb()

    enqueue(database, "run_1")
    assert finish_all(database, build_ended(fetch_one(database), result=b"42")) == Reply("DONE", [])
    at_once = records(database)
    # The two entries were added at different times.
    assert at_once["run:run_1"].pop("entry") != ""
    one_by_one["run:run_1"].pop("entry")
    assert at_once == one_by_one
    assert ttl_ms(database, "run:run_1") == ttl_ms(database, f"attempt:{ids.attempt_id('run_1', 0)}") == DAY
    assert find_leaks(database) == {}


def test_the_record_of_a_first_attempt_goes_without_its_number_and_reads_as_before(database):
    enqueue(database, "run_1")
    enqueue(database, "run_2")
    first, later = fetch(database)
    # Only runs with steps are bundled after their first attempt.
    later = msgspec.structs.replace(later, attempt=2, message=mark_durable(later.message))
    finish_all(database, build_ended(first))
    finish_all(database, build_ended(later))

    state = records(database)
    assert "attempt" not in state["run:run_1"]
    assert state["run:run_2"]["attempt"] == "2"
    # Their ids are not those of calls, which say when these were enqueued.
    for run, attempt in (("run_1", 0), ("run_2", 2)):
        database.client.hset(database.keys.run(run), "enqueued_at", NOW)
        found = find_run(database, run)
        assert (found.attempt, found.attempts) == (attempt, attempt + 1)


def test_a_hundred_runs_leave_the_stream_in_one_call(database):
    for number in range(100):
        enqueue(database, f"run_{number}")
    assert finish_all(database, *map(build_ended, fetch(database, count=100))) == Reply("DONE", [])
    state = records(database)
    assert state["stream:default:5"] == Stream({}, {})
    assert {state[f"run:run_{number}"]["state"] for number in range(100)} == {"succeeded"}


def test_what_comes_after_the_first_hundred_is_left_alone(database):
    for number in range(101):
        enqueue(database, f"run_{number}")
    finish_all(database, *map(build_ended, fetch(database, count=101)))
    assert records(database)["run:run_100"]["state"] == "pending"


def test_a_second_send_is_recognised_and_changes_nothing(database):
    for run in ("run_1", "run_2"):
        enqueue(database, run)
    over = [build_ended(delivery) for delivery in fetch(database)]
    finish_all(database, *over)
    with nothing_written(database):
        assert finish_all(database, *over) == Reply("DONE", [])


def test_a_zombie_changes_nothing_and_its_neighbours_are_recorded(database):
    for run in ("run_1", "run_2", "run_3"):
        enqueue(database, run)
    deliveries = fetch(database)
    lose(database, deliveries[1])
    before = records(database)

    assert finish_all(database, *map(build_ended, deliveries)) == Reply("DONE", [2])
    after = records(database)
    for untouched in ("run:run_2", f"attempt:{ids.attempt_id('run_2', 0)}"):
        assert after[untouched] == before[untouched]
    assert (after["run:run_1"]["state"], after["run:run_3"]["state"]) == ("succeeded", "succeeded")


def test_the_same_attempt_ended_by_another_worker_is_stale(database):
    enqueue(database)
    delivery = fetch_one(database)
    finish_all(database, build_ended(delivery, worker="alice"))
    with nothing_written(database):
        assert finish_all(database, build_ended(delivery, worker="bob")) == Reply("DONE", [1])


def test_nothing_is_written_when_the_keys_are_missing(database):
    enqueue(database)
    delivery = fetch_one(database)
    database.client.flushdb()
    with nothing_written(database):
        assert finish_all(database, build_ended(delivery)) == Reply("DONE", [1])


def break_run(database, run):
    """A stranger has replaced the record of a run by a text."""
    database.client.delete(database.keys.run(run))
    database.client.set(database.keys.run(run), "broken")


def test_a_run_whose_key_has_the_wrong_type_stays_in_flight_and_its_neighbours_are_recorded(database):
    for number in range(3):
        enqueue(database, f"run_{number}")
    over = [build_ended(delivery, result=b"42") for delivery in fetch(database)]
    break_run(database, "run_1")
    with pytest.raises(ServerRefused, match="WRONGTYPE"):
        finish_all(database, *over)

    # Then the others have ended, and the entry is pending for the same worker: should that die, another one takes it
    state = records(database)
    assert [state[f"run:run_{number}"]["state"] for number in (0, 2)] == ["succeeded"] * 2
    entry = over[1].delivery.entry.decode()
    stream = state["stream:default:5"]
    assert (list(stream.entries), stream.pending) == ([entry], {entry: "alice"})
    assert f"attempt:{ids.attempt_id('run_1', 0)}" not in state

    # And when the key is out of the way, the same call records it
    database.client.delete(database.keys.run("run_1"))
    assert finish_all(database, *over) == Reply("DONE", [])
    state = records(database)
    assert state["run:run_1"] == {"state": "succeeded", "ended_at": str(NOW + 1000), "result": "42"}
    assert state["stream:default:5"] == Stream({}, {})
    assert find_leaks(database) == {}


def test_an_attempt_whose_key_has_the_wrong_type_ends_the_send_before_anything_is_written(database):
    for number in range(2):
        enqueue(database, f"run_{number}")
    over = [build_ended(delivery) for delivery in fetch(database)]
    attempt = database.keys.attempt(ids.attempt_id("run_1", 0))
    database.client.set(attempt, "broken")
    with nothing_written(database), pytest.raises(ServerRefused, match="WRONGTYPE"):
        finish_all(database, *over)
    database.client.delete(attempt)
    assert finish_all(database, *over) == Reply("DONE", [])


def test_a_zombie_is_stale_although_a_neighbour_has_a_key_of_the_wrong_type(database):
    for number in range(2):
        enqueue(database, f"run_{number}")
    deliveries = fetch(database)
    lose(database, deliveries[0])
    before = records(database)["run:run_0"]
    break_run(database, "run_1")
    over = [build_ended(delivery) for delivery in deliveries]
    with pytest.raises(ServerRefused):
        finish_all(database, *over)
    database.client.delete(database.keys.run("run_1"))
    assert finish_all(database, *over) == Reply("DONE", [1])
    assert records(database)["run:run_0"] == before


def test_an_attempt_that_was_shown_as_running_is_recorded_like_the_others(database):
    for number in range(2):
        enqueue(database, f"run_{number}")
    deliveries = fetch(database)
    database.call(runs.start_attempt(database.keys, deliveries[0], "alice", NOW))
    assert finish_all(database, *map(build_ended, deliveries)) == Reply("DONE", [])
    state = records(database)
    assert [state[f"attempt:{ids.attempt_id(f'run_{number}', 0)}"]["state"] for number in range(2)] == ["succeeded"] * 2


@pytest.mark.parametrize(
    ("changes", "state", "plain"),
    [
        ({}, "succeeded", True),
        ({"unique": "greet:ada"}, "succeeded", False),
        ({"member": GroupMember("run_0", 0)}, "succeeded", True),
        ({"group_strategy": "fail_fast"}, "succeeded", False),
        ({}, "failed", False),
        ({}, "canceled", False),
    ],
)
def test_only_successes_that_move_nothing_else_are_committed_together(changes, state, plain):
    delivery = Delivery(b"", b"1-1", message(**changes), 0, 0)
    assert (bulk_commit.bundle_key(build_ended(delivery, state)) is not None) is plain


def test_a_large_result_goes_by_itself():
    delivery, largest = Delivery(b"", b"1-1", message(), 0, 0), b"x" * bulk_commit.MAX_RESULT_BYTES
    assert bulk_commit.bundle_key(build_ended(delivery, result=largest)) is not None
    assert bulk_commit.bundle_key(build_ended(delivery, result=largest + b"x")) is None


def test_times_are_the_ones_that_the_worker_measured(database):
    enqueue(database)
    finish_all(database, build_ended(fetch_one(database)))
    assert records(database)["run:run_1"]["ended_at"] == str(NOW + 1000)
