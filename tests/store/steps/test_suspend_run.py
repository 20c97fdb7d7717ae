import pytest

from jobistemer.core import ids
from jobistemer.core.runs.message import decode_message
from jobistemer.store.actions import cancel
from jobistemer.store.calls import runs
from jobistemer.store.reads.records import find_run, find_runs
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
)
from tests.support.shard_state import Stream, expiring_keys, nothing_written, records
from tests.support.steps import LATER, record, signal, step, suspend
from tests.support.wakeups import collect_wakeups

FIRST = ids.attempt_id("run_1", 0)


def begun(database, **changes):
    enqueue(database, **changes)
    return fetch_one(database)


def test_a_suspended_run_has_no_attempt_and_goes_on_at_its_time(database):
    assert suspend(database, begun(database), records={"sleep-1": step(kind="sleep")}) == Reply("DONE", [])
    after = records(database)
    later = decode_message(after["run:run_1"].pop("message").encode())
    assert (later.wire, later.suspended, later.snoozes) == (2, 1, 0)
    assert after == {
        "run:run_1": {
            "state": "suspended",
            "handler": "greet",
            "place": "default:5",
            "attempt": "1",
            "crashes": "0",
        },
        f"attempt:{FIRST}": {
            "state": "suspended",
            "number": "0",
            "worker": "alice",
            "started_at": str(NOW),
            "ended_at": str(NOW + 1000),
        },
        "steps:run_1": {"sleep-1": step(kind="sleep").decode()},
        "delayed": {"default:5:run_1": LATER},
        "stream:default:5": Stream({}, {}),
        "streams": {"default:5"},
    }
    assert expiring_keys(database) == {f"attempt:{FIRST}"}
    # Its time stands in the delayed set alone.
    assert [each.due_at for each in (find_run(database, "run_1"), *find_runs(database, ["run_0", "run_1"]))] == [
        LATER
    ] * 2


def test_it_is_woken_by_what_promotes_delayed_runs_as_the_next_attempt(database):
    suspend(database, begun(database), wait="paid")
    database.call(runs.promote_runs(database.keys, ["default:5:run_1"], LATER))
    after = records(database)["run:run_1"]
    assert after["state"] == "pending"
    assert {"wait", "message", "due_at", "note"} & set(after) == set()
    again = fetch_one(database, "bob")
    assert (again.attempt, again.crashes, again.message.wire, again.message.suspended) == (1, 0, 2, 1)


def test_a_suspension_that_is_due_earlier_than_all_else_wakes_the_tickers(database):
    delivery = begun(database)
    with collect_wakeups(database) as woken:
        suspend(database, delivery)
    assert woken == ["run"]


def test_a_second_send_of_the_same_call_changes_nothing(database):
    delivery = begun(database)
    suspend(database, delivery)
    with nothing_written(database):
        assert suspend(database, delivery) == Reply("DONE", [])


@pytest.mark.parametrize("state", ["succeeded", "failed", "lost", "canceled"])
def test_a_zombie_suspends_nothing(database, state):
    delivery = begun(database)
    finish(database, build_ended(delivery, state))
    with nothing_written(database):
        assert suspend(database, delivery) == Reply("STALE", [])


def test_without_any_record_nothing_is_written(database):
    delivery = begun(database)
    database.client.flushdb()
    with nothing_written(database):
        assert suspend(database, delivery) == Reply("STALE", [])


def test_a_signal_that_has_come_meanwhile_sends_the_run_to_its_stream_at_once(database):
    """The race between the look for the signal and the end of the attempt."""
    delivery = begun(database)
    signal(database, name="paid")
    assert suspend(database, delivery, wait="paid", records={"paid": step(done=0, kind="wait")}) == Reply("DONE", [])
    after = records(database)
    assert after["run:run_1"]["state"] == "pending"
    assert "delayed" not in after
    assert after["steps:run_1"] == {"paid": step(done=0, kind="wait").decode()}
    assert fetch_one(database, "bob").attempt == 1


def test_a_signal_of_another_name_does_not_keep_it_awake(database):
    delivery = begun(database)
    signal(database, name="sent")
    suspend(database, delivery, wait="paid")
    assert records(database)["run:run_1"].items() >= {"state": "suspended", "wait": "paid"}.items()


def test_a_run_that_was_asked_to_be_canceled_ends_so_instead(database):
    delivery = begun(database)
    cancel.cancel_run(database, "run_1", "not wanted")
    with nothing_written(database):
        assert suspend(database, delivery) == Reply("CANCELED", [])


def test_the_run_of_a_halted_occurrence_is_not_suspended(database):
    register(database, job())
    claim(database, job(), decision(T0 + MINUTE))
    delivery = fetch_one(database)
    occurrence = ids.occurrence_id(job().id, T0 + MINUTE)
    database.client.hset(database.keys.occurrence(occurrence), "halt", "canceled")
    with nothing_written(database):
        assert suspend(database, delivery) == Reply("CANCELED", [])


def test_a_suspended_run_is_canceled_where_it_waits_and_its_steps_go_with_it(database):
    delivery = begun(database)
    record(database, delivery, {"pay": step()})
    suspend(database, delivery)
    assert cancel.cancel_run(database, "run_1", "not wanted") == "CANCELED"
    after = records(database)
    assert after["run:run_1"]["state"] == "canceled"
    assert "delayed" not in after
    assert {"run:run_1", "steps:run_1"} <= expiring_keys(database)


def test_a_run_that_puts_itself_off_is_scheduled_and_counts_it(database):
    assert suspend(database, begun(database), 0, after_ms=5000, is_snooze=True, reason="snoozed: busy") == Reply(
        "DONE", []
    )
    after = records(database)["run:run_1"]
    assert (
        after.items()
        >= {"state": "scheduled", "snoozes": "1", "note": "snoozed: busy", "due_at": str(NOW + 6000)}.items()
    )
    assert decode_message(after["message"].encode()).snoozes == 1


def test_suspensions_use_up_no_retry(database):
    delivery = begun(database)
    for _ in range(10):
        suspend(database, delivery)
        database.call(runs.promote_runs(database.keys, ["default:5:run_1"], LATER))
        delivery = fetch_one(database)
    assert delivery.attempt == 10
    finish(database, build_ended(delivery, "failed"))
    assert records(database)["run:run_1"]["state"] == "scheduled"
    assert message().retry.max_retries == 3


def test_a_question_is_listed_with_its_time(database):
    suspend(database, begun(database), wait="approved", question=b'{"ask":"Close it?"}')
    after = records(database)
    assert after["run:run_1"]["question"] == '{"ask":"Close it?"}'
    assert after["questions"] == {"run_1": NOW + 1000}
    database.call(runs.promote_runs(database.keys, ["default:5:run_1"], LATER))
    assert "questions" not in records(database)
    assert fetch(database, "bob")
