import pytest

from jobistemer.core import ids
from jobistemer.core.jobs.retries import Delays
from jobistemer.core.runs.message import encode_message
from jobistemer.core.runs.settle import NextAttempt, Outcome
from jobistemer.core.states import AttemptState
from jobistemer.store.calls import run_ends, runs
from jobistemer.store.calls.run_ends import KEEP_EARLIER_MS
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
    message,
    register,
    task,
)
from tests.support.shard_state import Stream, expiring_keys, nothing_written, records, ttl_ms
from tests.support.wakeups import collect_wakeups

FIRST, SECOND = ids.attempt_id("run_1", 0), ids.attempt_id("run_1", 1)
FIVE_SECONDS = NextAttempt(5000, 0)


def retry(database, over, later=FIVE_SECONDS):
    return database.call(run_ends.record_end(database.keys, over._replace(ending=later), None))


def hand_back(database, delivery, delay_ms=0, note=""):
    return database.call(runs.hand_back(database.keys, delivery, NOW, delay_ms, note))


def test_a_failed_attempt_is_recorded_and_its_run_waits_for_the_next(database):
    enqueue(database)
    assert retry(database, build_ended(fetch_one(database), "failed", error="oops")) == Reply("DONE", [])

    assert records(database) == {
        "run:run_1": {
            "state": "scheduled",
            "handler": "greet",
            "place": "default:5",
            "entry": "",
            "message": encode_message(message()).decode(),
            "attempt": "1",
            "crashes": "0",
            "due_at": str(NOW + 6000),
            "note": "oops",
        },
        f"attempt:{FIRST}": {
            "state": "failed",
            "number": "0",
            "worker": "alice",
            "started_at": str(NOW),
            "ended_at": str(NOW + 1000),
            "error": "oops",
        },
        "delayed": {"default:5:run_1": NOW + 6000},
        "stream:default:5": Stream({}, {}),
        "streams": {"default:5"},
    }
    assert expiring_keys(database) == {f"attempt:{FIRST}"}
    assert ttl_ms(database, f"attempt:{FIRST}") == 60_000 + message().retention_ms + KEEP_EARLIER_MS


def test_a_lost_attempt_is_recorded_and_its_run_goes_back_to_its_stream_at_once(database):
    enqueue(database)
    assert finish(database, build_ended(fetch_one(database), "lost")) == Reply("DONE", [])

    again = fetch_one(database, "bob")
    assert (again.attempt, again.crashes, again.message) == (1, 1, message())
    run = records(database)["run:run_1"]
    assert (run["state"], run["entry"], run["attempt"]) == ("pending", again.entry.decode(), "1")
    assert records(database)[f"attempt:{FIRST}"]["state"] == "lost"


def test_a_second_send_of_the_same_call_is_recognised_and_writes_nothing(database):
    enqueue(database)
    over = build_ended(fetch_one(database), "failed")
    retry(database, over)
    with nothing_written(database):
        assert retry(database, over) == Reply("DONE", [])


def test_a_second_send_is_recognised_also_when_the_occurrence_has_failed_meanwhile(database):
    definition = job(task("a", retry=Delays((5.0,))), task("b", retry=Delays()))
    register(database, definition)
    claim(database, definition, decision(T0 + MINUTE))
    a, b = fetch(database)
    finish(database, build_ended(a, "failed"), definition)
    finish(database, build_ended(b, "failed"), definition)
    with nothing_written(database):
        assert finish(database, build_ended(a, "failed"), definition) == Reply("DONE", [])


def test_a_zombie_cannot_retry_what_was_taken_from_it(database):
    enqueue(database)
    delivery = fetch_one(database)
    finish(database, build_ended(delivery, "lost", worker="bob"))
    with nothing_written(database):
        assert retry(database, build_ended(delivery, "failed")) == Reply("STALE", [])


def test_an_entry_that_nobody_has_fetched_cannot_be_retried(database):
    enqueue(database)
    delivery = fetch_one(database)
    hand_back(database, delivery)
    with nothing_written(database):
        assert retry(database, build_ended(delivery, "failed")) == Reply("STALE", [])


def test_a_run_that_is_to_be_cancelled_is_not_retried(database):
    enqueue(database)
    delivery = fetch_one(database)
    database.call(runs.request_cancel(database.keys, "run_1", delivery.entry.decode(), NOW))
    with nothing_written(database):
        assert retry(database, build_ended(delivery, "failed")) == Reply("CANCELED", [])
        assert retry(database, build_ended(delivery, "lost"), NextAttempt(0, 1)) == Reply("CANCELED", [])


def test_a_run_of_a_halted_occurrence_is_not_retried(database):
    definition = job(task("a", retry=Delays((5.0,))), task("b", retry=Delays()))
    register(database, definition)
    claim(database, definition, decision(T0 + MINUTE))
    a, b = fetch(database)
    finish(database, build_ended(b, "failed"), definition)
    with nothing_written(database):
        assert finish(database, build_ended(a, "failed"), definition) == Reply("CANCELED", [])


def test_an_entry_that_was_never_started_goes_back_without_an_attempt(database):
    enqueue(database)
    delivery = fetch_one(database)
    assert hand_back(database, delivery) == Reply("DONE", [])

    again = fetch_one(database, "bob")
    assert again.entry != delivery.entry
    assert (again.message, again.attempt, again.crashes) == (delivery.message, 0, 0)
    assert records(database) == {
        "run:run_1": {
            "state": "pending",
            "handler": "greet",
            "place": "default:5",
            "entry": again.entry.decode(),
            "attempt": "0",
        },
        "stream:default:5": Stream(
            {again.entry.decode(): {"m": encode_message(message()).decode(), "n": "0", "c": "0"}},
            {again.entry.decode(): "bob"},
        ),
        "streams": {"default:5"},
    }


def test_a_second_hand_back_is_stale_and_writes_nothing(database):
    enqueue(database)
    delivery = fetch_one(database)
    hand_back(database, delivery)
    with nothing_written(database):
        assert hand_back(database, delivery) == Reply("STALE", [])


def test_what_no_worker_here_knows_can_be_put_off_with_a_note(database):
    enqueue(database)
    assert hand_back(database, fetch_one(database), 2000, "no worker knows greet") == Reply("DONE", [])
    state = records(database)
    assert state["delayed"] == {"default:5:run_1": NOW + 2000}
    assert (state["run:run_1"]["state"], state["run:run_1"]["note"]) == ("scheduled", "no worker knows greet")


def test_tickers_are_woken_only_when_nothing_is_due_earlier(database, open_database):
    for run in ("run_1", "run_2"):
        enqueue(database, run)
    first, second = fetch(database)
    with collect_wakeups(open_database()) as wakes:
        retry(database, build_ended(first, "failed"), NextAttempt(5000, 0))
    assert wakes == ["run"]
    with collect_wakeups(open_database()) as wakes:
        retry(database, build_ended(second, "failed"), NextAttempt(9000, 0))
    assert wakes == []


@pytest.mark.parametrize("state", ["failed", "timed_out"])
def test_each_attempt_of_a_run_has_a_record_of_its_own(database, state):
    enqueue(database, retry=Delays((0.0, 0.0)))
    finish(database, build_ended(fetch_one(database), state))
    finish(database, build_ended(fetch_one(database), state))
    found = records(database)
    assert [found[f"attempt:{each}"]["number"] for each in (FIRST, SECOND)] == ["0", "1"]


def test_an_outcome_is_recorded_though_the_run_hash_was_deleted(database):
    enqueue(database)
    delivery = fetch_one(database)
    database.client.delete(database.keys.run("run_1"))
    over = build_ended(delivery, "failed")
    assert retry(database, over).word == "DONE"
    assert over.outcome == Outcome(AttemptState.FAILED)
    assert records(database)[f"attempt:{FIRST}"]["state"] == "failed"
