import pytest

from jobistemer.core import ids
from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.core.runs.message import Delivery, encode_message
from jobistemer.store.actions import dead_letters
from jobistemer.store.calls import run_ends, runs
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import build_ended, enqueue, fetch_one, finish, message
from tests.support.shard_state import Stream, expiring_keys, find_leaks, nothing_written, records, ttl_ms

FIRST = ids.attempt_id("run_1", 0)
DAY = 86_400_000


def cancel_waiting(database, source, run="run_1"):
    """Cancel a run that no worker has taken, as application code does."""
    entry = records(database)[f"run:{run}"].get("entry", "")
    delivery = Delivery(database.keys.stream("default:5").encode(), entry.encode(), message(run), 0, 0)
    over = build_ended(delivery, "canceled", "somebody", source)
    return database.call(run_ends.record_end(database.keys, over, None))


def test_a_success_is_recorded_with_its_result_and_leaves_the_stream(database):
    enqueue(database)
    delivery = fetch_one(database)
    assert finish(database, build_ended(delivery, result=b"42")) == Reply("DONE", [])

    assert records(database) == {
        "run:run_1": {
            "state": "succeeded",
            "handler": "greet",
            "place": "default:5",
            "entry": delivery.entry.decode(),
            "ended_at": str(NOW + 1000),
            "result": "42",
        },
        f"attempt:{FIRST}": {
            "state": "succeeded",
            "number": "0",
            "worker": "alice",
            "started_at": str(NOW),
            "ended_at": str(NOW + 1000),
        },
        "stream:default:5": Stream({}, {}),
        "streams": {"default:5"},
    }
    assert expiring_keys(database) == {"run:run_1", f"attempt:{FIRST}"}
    assert ttl_ms(database, "run:run_1") == ttl_ms(database, f"attempt:{FIRST}") == DAY
    assert find_leaks(database) == {}


@pytest.mark.parametrize(
    ("attempt_state", "outcome", "run_state"),
    [
        ("succeeded", {}, "succeeded"),
        ("failed", {"final": True, "error": "no such customer"}, "failed"),
        ("canceled", {}, "canceled"),
        ("timed_out", {"final": True, "error": "too slow"}, "timed_out"),
        ("failed", {"error": "oops"}, "dead"),
        ("timed_out", {"error": "too slow"}, "timed_out"),
        ("failed", {"poison": True, "error": "$.name: expected str"}, "dead"),
    ],
)
def test_each_ending_is_recorded_for_attempt_and_run(database, attempt_state, outcome, run_state):
    enqueue(database, retry=NO_RETRIES)
    assert finish(database, build_ended(fetch_one(database), attempt_state, **outcome)) == Reply("DONE", [])
    state = records(database)
    assert state[f"attempt:{FIRST}"]["state"] == attempt_state
    assert state["run:run_1"]["state"] == run_state
    assert state["run:run_1"].get("error") == state[f"attempt:{FIRST}"].get("error") == outcome.get("error")
    assert find_leaks(database) == {}


def test_a_run_whose_last_attempt_timed_out_is_a_dead_letter_and_is_replayed_like_one(database):
    enqueue(database, retry=NO_RETRIES)
    finish(database, build_ended(fetch_one(database), "timed_out", error="too slow"))
    state = records(database)
    assert state["run:run_1"]["state"] == "timed_out"
    assert state["dead"] == {"run_1": NOW + 1000 + 7 * DAY}
    (letter,) = dead_letters.list_dead([database])
    assert (letter.run.state, letter.run.error) == ("timed_out", "too slow")
    assert database.call(dead_letters.replay(database.keys, letter, "run_2", NOW)).word == "REPLAYED"
    assert "dead" not in records(database)
    assert records(database)["run:run_1"]["state"] == "timed_out"


def test_a_run_without_dead_letters_is_in_no_list(database):
    enqueue(database, retry=NO_RETRIES, dead_letters=False)
    finish(database, build_ended(fetch_one(database), "failed", error="oops"))
    state = records(database)
    assert state["run:run_1"]["state"] == "failed"
    assert "dead" not in state
    assert ttl_ms(database, "run:run_1") == DAY
    assert find_leaks(database) == {}


def test_a_dead_run_keeps_its_message_and_is_listed_with_the_time_at_which_its_records_go(database):
    enqueue(database, retry=NO_RETRIES)
    finish(database, build_ended(fetch_one(database), "failed", error="oops"))
    state = records(database)
    assert state["run:run_1"]["message"] == encode_message(message(retry=NO_RETRIES)).decode()
    assert state["dead"] == {"run_1": NOW + 1000 + 7 * DAY}
    assert ttl_ms(database, "run:run_1") == 7 * DAY


@pytest.mark.parametrize(
    ("dead_retention_ms", "retention_ms", "kept_ms"),
    [(2 * DAY, DAY, 2 * DAY), (30 * DAY, DAY, 30 * DAY), (2 * DAY, 9 * DAY, 9 * DAY)],
)
def test_a_dead_run_is_kept_as_long_as_its_options_say(database, dead_retention_ms, retention_ms, kept_ms):
    enqueue(database, retry=NO_RETRIES, dead_retention_ms=dead_retention_ms, retention_ms=retention_ms)
    finish(database, build_ended(fetch_one(database), "failed", error="oops"))
    assert records(database)["dead"] == {"run_1": NOW + 1000 + kept_ms}
    assert ttl_ms(database, "run:run_1") == kept_ms


def test_a_run_that_kills_its_workers_ends_dead(database):
    enqueue(database)
    for worker in ("alice", "bob", "carol"):
        finish(database, build_ended(fetch_one(database, worker), "lost", worker))
    state = records(database)
    assert (state["run:run_1"]["state"], state["run:run_1"]["attempt"]) == ("dead", "2")
    assert [state[f"attempt:{ids.attempt_id('run_1', n)}"]["state"] for n in range(3)] == ["lost"] * 3
    assert find_leaks(database) == {}


def test_a_second_send_of_the_same_call_is_recognised_and_writes_nothing(database):
    enqueue(database)
    over = build_ended(fetch_one(database))
    finish(database, over)
    with nothing_written(database):
        assert finish(database, over) == Reply("DONE", [])


@pytest.mark.parametrize("zombie_says", ["succeeded", "failed", "canceled"])
def test_a_zombie_cannot_end_what_was_taken_from_it(database, zombie_says):
    enqueue(database)
    delivery = fetch_one(database)
    finish(database, build_ended(delivery, "lost", worker="bob"))
    with nothing_written(database):
        assert finish(database, build_ended(delivery, zombie_says, final=True)).word == "STALE"


def test_a_zombie_cannot_end_a_run_that_another_worker_has_ended(database):
    enqueue(database)
    old = fetch_one(database)
    finish(database, build_ended(old, "lost", worker="bob"))
    finish(database, build_ended(fetch_one(database, "bob"), worker="bob"))
    with nothing_written(database):
        assert finish(database, build_ended(old)).word == "STALE"


@pytest.mark.parametrize("source", ["delayed", "stream"])
def test_a_run_that_nobody_has_taken_is_cancelled_where_it_waits(database, source):
    due_at = NOW + 60_000 if source == "delayed" else 0
    database.call(runs.enqueue_run(database.keys, message(), due_at=due_at))
    assert cancel_waiting(database, source) == Reply("DONE", [])

    state = records(database)
    assert (state["run:run_1"]["state"], state["run:run_1"]["ended_at"]) == ("canceled", str(NOW + 1000))
    assert f"attempt:{FIRST}" not in state
    assert "delayed" not in state
    assert state.get("stream:default:5", Stream({}, {})) == Stream({}, {})
    assert find_leaks(database) == {}


@pytest.mark.parametrize("source", ["delayed", "stream"])
def test_a_second_send_of_a_cancel_is_recognised(database, source):
    due_at = NOW + 60_000 if source == "delayed" else 0
    database.call(runs.enqueue_run(database.keys, message(), due_at=due_at))
    cancel_waiting(database, source)
    with nothing_written(database):
        assert cancel_waiting(database, source) == Reply("DONE", [])


def test_a_promoted_run_is_cancelled_on_its_stream_and_no_longer_where_it_was_delayed(database):
    database.call(runs.enqueue_run(database.keys, message(), due_at=NOW + 60_000))
    database.call(runs.promote_runs(database.keys, ["default:5:run_1"], NOW + 60_000))
    with nothing_written(database):
        assert cancel_waiting(database, "delayed") == Reply("STALE", [])
    assert cancel_waiting(database, "stream") == Reply("DONE", [])


def test_a_run_in_flight_is_not_cancelled_behind_its_workers_back(database):
    enqueue(database)
    fetch_one(database)
    with nothing_written(database):
        assert cancel_waiting(database, "stream") == Reply("STALE", [])


def test_the_unique_key_of_somebody_else_is_not_released(database):
    enqueue(database, unique="order-7")
    delivery = fetch_one(database)
    database.client.set(database.keys.unique("order-7"), "run_2", px=60_000)
    finish(database, build_ended(delivery))
    assert records(database)["unique:order-7"] == "run_2"


def test_an_outcome_is_recorded_though_the_run_hash_was_deleted(database):
    enqueue(database)
    delivery = fetch_one(database)
    database.client.delete(database.keys.run("run_1"))
    assert database.call(run_ends.record_end(database.keys, build_ended(delivery), None)) == Reply("DONE", [])
    assert records(database)["run:run_1"] == {"state": "succeeded", "ended_at": str(NOW + 1000)}
    assert find_leaks(database) == {}
