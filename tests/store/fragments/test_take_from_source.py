import pytest

from tests.support.fragments import execute
from tests.support.lifecycle import enqueue, fetch_one
from tests.support.shard_state import nothing_written, records

CALL = "return take_from_source(ARGV[1], KEYS[1], ARGV[2], KEYS[2], KEYS[3], 'default:5', 'run_1')"


def take(database, source, entry="0-1"):
    keys = database.keys
    return execute(
        database, "take_from_source", CALL, [keys.stream("default:5"), keys.run("run_1"), keys.delayed], [source, entry]
    )


def test_of_two_callers_that_end_an_attempt_one_takes_its_entry(database):
    enqueue(database)
    entry = fetch_one(database).entry
    assert take(database, "attempt", entry) == 1
    assert records(database)["stream:default:5"].entries == {}
    with nothing_written(database):
        assert take(database, "attempt", entry) == 0


def test_an_entry_that_nobody_has_fetched_is_taken_from_its_stream(database):
    enqueue(database)
    entry = records(database)["run:run_1"]["entry"]
    with nothing_written(database):
        assert take(database, "attempt", entry) == 0
    assert take(database, "stream", entry) == 1
    with nothing_written(database):
        assert take(database, "stream", entry) == 0


def test_an_entry_that_a_worker_has_fetched_is_left_to_it(database):
    enqueue(database)
    entry = fetch_one(database).entry
    with nothing_written(database):
        assert take(database, "stream", entry) == 0


def test_a_delayed_run_is_taken_once(database):
    database.client.zadd(database.keys.delayed, {"default:5:run_1": 7})
    assert take(database, "delayed") == 1
    with nothing_written(database):
        assert take(database, "delayed") == 0


def test_a_task_that_waits_is_taken_with_its_message_once(database):
    database.client.hset(database.keys.run("run_1"), mapping={"state": "pending", "waits": 1, "message": "hello"})
    assert take(database, "waiting") > 0
    assert records(database) == {"run:run_1": {"state": "pending"}}
    with nothing_written(database):
        assert take(database, "waiting") == 0


@pytest.mark.parametrize("source", ["attempt", "stream", "delayed", "waiting"])
def test_where_there_is_nothing_nothing_is_taken(database, source):
    if source == "attempt":
        enqueue(database, "run_2")
    with nothing_written(database):
        assert take(database, source) == 0
