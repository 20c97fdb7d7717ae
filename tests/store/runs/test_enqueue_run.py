from jobistemer.core.runs.message import encode_message
from jobistemer.store.calls import runs
from jobistemer.store.scripts import Reply
from tests.support.lifecycle import build_ended, enqueue, fetch_one, finish, message
from tests.support.shard_state import Stream, expiring_keys, find_leaks, nothing_written, records, ttl_ms


def test_enqueueing_creates_the_run_and_its_entry_and_opens_the_stream(database):
    assert enqueue(database, queue="mail", priority=9) == Reply("CREATED", [])

    entry = records(database)["run:run_1"]["entry"]
    text = encode_message(message(queue="mail", priority=9)).decode()
    assert records(database) == {
        "run:run_1": {
            "state": "pending",
            "handler": "greet",
            "place": "mail:9",
            "entry": entry,
        },
        "stream:mail:9": Stream({entry: {"m": text, "n": "0", "c": "0"}}, {}),
        "streams": {"mail:9"},
    }
    assert expiring_keys(database) == set()


def test_only_a_call_with_a_unique_key_sends_its_id_and_how_long_the_key_is_held(database):
    plain = runs.enqueue_run(database.keys, message())
    assert plain.args == ("greet", encode_message(message()), "default:5")
    unique = runs.enqueue_run(database.keys, message(unique="order-7"), unique_ms=600_000)
    assert unique.args[3:] == ("run_1", 600_000)


def test_a_second_run_joins_the_stream_that_is_there(database):
    enqueue(database, "run_1")
    enqueue(database, "run_2")

    state = records(database)
    assert list(state["stream:default:5"].entries) == [state["run:run_1"]["entry"], state["run:run_2"]["entry"]]
    assert state["streams"] == {"default:5"}


def test_a_second_send_of_the_same_call_is_recognised_and_writes_nothing(database):
    enqueue(database, unique="order-7")
    with nothing_written(database):
        assert enqueue(database, unique="order-7") == Reply("MINE", [])


def test_a_second_send_after_the_run_has_ended_does_not_bring_it_back(database):
    enqueue(database)
    finish(database, build_ended(fetch_one(database)))
    with nothing_written(database):
        assert enqueue(database) == Reply("MINE", [])


def test_a_unique_key_refuses_another_run_and_names_its_holder(database):
    enqueue(database, "run_1", unique="order-7")
    with nothing_written(database):
        assert enqueue(database, "run_2", unique="order-7") == Reply("EXISTS", [b"run_1"])


def test_a_unique_key_is_held_no_longer_than_it_was_asked_for(database):
    database.call(runs.enqueue_run(database.keys, message(unique="order-7"), unique_ms=600_000))
    assert records(database)["unique:order-7"] == "run_1"
    assert ttl_ms(database, "unique:order-7") == 600_000


def test_a_unique_key_is_free_again_when_its_run_has_ended(database):
    enqueue(database, "run_1", unique="order-7")
    finish(database, build_ended(fetch_one(database)))
    assert enqueue(database, "run_2", unique="order-7") == Reply("CREATED", [])


def test_nothing_without_an_end_is_left_once_the_run_has_ended(database):
    enqueue(database, unique="order-7")
    assert "run:run_1" in find_leaks(database)
    finish(database, build_ended(fetch_one(database)))
    assert find_leaks(database) == {}


def test_a_queue_that_is_closed_takes_no_new_run(database):
    database.client.sadd(database.keys.closed, "default:5")
    with nothing_written(database):
        assert enqueue(database) == Reply("CLOSED", [])


def test_while_another_queue_is_closed_a_run_is_created_and_a_second_send_is_recognised(database):
    database.client.sadd(database.keys.closed, "mail:5")
    assert enqueue(database) == Reply("CREATED", [])
    with nothing_written(database):
        assert enqueue(database) == Reply("MINE", [])


def test_a_second_send_to_a_queue_that_was_closed_in_between_is_recognised(database):
    enqueue(database)
    database.client.sadd(database.keys.closed, "default:5")
    with nothing_written(database):
        assert enqueue(database) == Reply("MINE", [])


def test_a_closed_queue_still_names_the_holder_of_a_unique_key(database):
    enqueue(database, "run_1", unique="order-7")
    database.client.sadd(database.keys.closed, "default:5")
    assert enqueue(database, "run_2", unique="order-7") == Reply("EXISTS", [b"run_1"])


def test_a_lock_for_a_time_outlives_its_run(database):
    database.call(runs.enqueue_run(database.keys, message("run_1"), unique_ms=600_000, lock="order-7"))
    finish(database, build_ended(fetch_one(database)))
    again = runs.enqueue_run(database.keys, message("run_2"), unique_ms=600_000, lock="order-7")
    assert database.call(again) == Reply("EXISTS", [b"run_1"])
    assert find_leaks(database) == {}
