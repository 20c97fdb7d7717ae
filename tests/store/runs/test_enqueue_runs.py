from jobistemer.core.runs.message import encode_message
from jobistemer.store.calls import runs
from jobistemer.store.scripts import Reply
from tests.support.lifecycle import build_ended, enqueue, fetch, fetch_one, finish, message
from tests.support.shard_state import Stream, nothing_written, records


def enqueue_many(database, *messages, where="default:5"):
    return database.call(runs.enqueue_runs(database.keys, where, messages))


def test_runs_are_created_in_order_with_their_entries_and_the_stream_is_opened(database):
    first, second = message("run_1", queue="mail"), message("run_2", queue="mail", handler="other")
    assert enqueue_many(database, first, second, where="mail:5") == Reply("CREATED", [2])

    state = records(database)
    entries = [state["run:run_1"]["entry"], state["run:run_2"]["entry"]]
    assert state == {
        "run:run_1": {"state": "pending", "handler": "greet", "place": "mail:5", "entry": entries[0]},
        "run:run_2": {"state": "pending", "handler": "other", "place": "mail:5", "entry": entries[1]},
        "stream:mail:5": Stream(
            {
                entry: {"m": encode_message(each).decode(), "n": "0", "c": "0"}
                for entry, each in zip(entries, (first, second), strict=True)
            },
            {},
        ),
        "streams": {"mail:5"},
    }
    assert [each.message.run for each in fetch(database, where="mail:5")] == ["run_1", "run_2"]


def test_each_is_what_a_single_enqueue_writes(database):
    enqueue_many(database, message("run_1"))
    together = records(database)
    database.client.flushall()
    database.call(runs.enqueue_run(database.keys, message("run_1")))
    alone = records(database)
    assert together["run:run_1"].keys() == alone["run:run_1"].keys()
    assert list(together["stream:default:5"].entries.values()) == list(alone["stream:default:5"].entries.values())


def test_a_second_send_of_the_same_call_writes_nothing(database):
    enqueue_many(database, message("run_1"), message("run_2"))
    with nothing_written(database):
        assert enqueue_many(database, message("run_1"), message("run_2")) == Reply("CREATED", [0])


def test_a_second_send_completes_what_the_first_began_and_brings_nothing_back(database):
    enqueue(database, "run_1")
    finish(database, build_ended(fetch_one(database)))
    assert enqueue_many(database, message("run_1"), message("run_2")) == Reply("CREATED", [1])
    assert [each.message.run for each in fetch(database)] == ["run_2"]


def test_a_run_that_a_call_names_twice_is_created_once(database):
    assert enqueue_many(database, message("run_1"), message("run_1"), message("run_2")) == Reply("CREATED", [2])
    assert [each.message.run for each in fetch(database)] == ["run_1", "run_2"]


def test_a_queue_that_is_closed_takes_none_of_them(database):
    database.client.sadd(database.keys.closed, "default:5")
    with nothing_written(database):
        assert enqueue_many(database, message("run_1")) == Reply("CLOSED", [])


def test_a_second_send_is_known_although_the_queue_was_closed_in_between(database):
    enqueue_many(database, message("run_1"), message("run_2"))
    database.client.sadd(database.keys.closed, "default:5")
    with nothing_written(database):
        assert enqueue_many(database, message("run_1"), message("run_2")) == Reply("CREATED", [0])


def test_at_most_a_hundred_are_created_in_one_call(database):
    assert enqueue_many(database, *(message(f"run_{n}") for n in range(101))) == Reply("CREATED", [100])
    assert "run:run_100" not in records(database)
