import pytest

from jobistemer.core import ids
from tests.support.clocks import NOW
from tests.support.fragments import execute
from tests.support.lifecycle import build_ended, enqueue, fetch_one, finish
from tests.support.shard_state import nothing_written

CALL = "return tostring(owns_entry(KEYS[1], ARGV[1], KEYS[2], 'alice', ARGV[2]))"


def owns(database, delivery, ended_at=NOW + 1000):
    keys = [delivery.stream, database.keys.attempt(ids.attempt_id("run_1", 0))]
    with nothing_written(database):
        return execute(database, "owns_entry", CALL, keys, [delivery.entry, ended_at]).decode()


@pytest.fixture
def delivery(database):
    enqueue(database)
    return fetch_one(database)


def test_an_entry_that_was_acknowledged_and_not_removed_is_its_workers(database, delivery):
    database.ask("XACK", delivery.stream, "workers", delivery.entry)
    assert owns(database, delivery) == "true"


def test_an_end_that_an_earlier_send_has_written_is_not_written_again(database, delivery):
    finish(database, build_ended(delivery))
    assert owns(database, delivery) == "nil"


@pytest.mark.parametrize(("state", "ended_at"), [("lost", NOW + 1000), ("succeeded", NOW + 1001)])
def test_an_attempt_that_another_caller_has_ended_is_left_alone(database, delivery, state, ended_at):
    finish(database, build_ended(delivery, state))
    assert owns(database, delivery, ended_at) == "false"


def test_a_missing_stream_has_no_entry(database, delivery):
    database.client.flushdb()
    assert owns(database, delivery) == "false"
