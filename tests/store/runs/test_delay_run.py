from jobistemer.core.runs.message import encode_message
from jobistemer.store.calls import runs
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import enqueue, message
from tests.support.shard_state import nothing_written, records
from tests.support.wakeups import collect_wakeups

DUE = NOW + 60_000


def delay(database, run="run_1", due_at=DUE, **changes):
    return database.call(runs.enqueue_run(database.keys, message(run, **changes), due_at=due_at))


def test_a_delayed_run_waits_with_its_message_for_its_time(database):
    assert delay(database, queue="mail") == Reply("CREATED", [])
    assert records(database) == {
        "run:run_1": {
            "state": "scheduled",
            "handler": "greet",
            "place": "mail:5",
            "due_at": str(DUE),
            "message": encode_message(message(queue="mail")).decode(),
            "attempt": "0",
            "crashes": "0",
        },
        "delayed": {"mail:5:run_1": DUE},
    }


def test_a_second_send_of_the_same_call_is_recognised_and_writes_nothing(database):
    delay(database, unique="order-7")
    with nothing_written(database):
        assert delay(database, unique="order-7") == Reply("MINE", [])


def test_a_run_that_was_enqueued_is_not_delayed_as_well(database):
    enqueue(database)
    with nothing_written(database):
        assert delay(database) == Reply("MINE", [])


def test_a_unique_key_holds_between_delayed_and_waiting_runs(database):
    delay(database, "run_1", unique="order-7")
    with nothing_written(database):
        assert enqueue(database, "run_2", unique="order-7") == Reply("EXISTS", [b"run_1"])
        assert delay(database, "run_3", unique="order-7") == Reply("EXISTS", [b"run_1"])


def test_tickers_are_woken_only_when_nothing_is_due_earlier(database, open_database):
    with collect_wakeups(open_database()) as wakes:
        delay(database, "run_1")
        delay(database, "run_2", DUE + 1)
        delay(database, "run_3", DUE - 1)
    assert wakes == ["run", "run"]


def test_a_queue_that_is_closed_takes_no_delayed_run_either(database):
    database.client.sadd(database.keys.closed, "default:5")
    with nothing_written(database):
        assert database.call(runs.enqueue_run(database.keys, message(), due_at=NOW + 60_000)) == Reply("CLOSED", [])
