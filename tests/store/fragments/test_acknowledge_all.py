import pytest
from redis.exceptions import ResponseError

from jobistemer.core import ids
from tests.support.fragments import execute
from tests.support.lifecycle import enqueue, fetch
from tests.support.shard_state import nothing_written

CALL = "return tostring(acknowledge_all(KEYS[1], {ARGV[1], ARGV[2]}, {KEYS[2], KEYS[3]}, 2))"
ATTEMPTS = [ids.attempt_id(run, 0) for run in ("run_1", "run_2")]


@pytest.fixture
def deliveries(database):
    for run in ("run_1", "run_2"):
        enqueue(database, run)
    return fetch(database)


def acknowledge(database, deliveries):
    keys = [deliveries[0].stream, *map(database.keys.attempt, ATTEMPTS)]
    return execute(database, "check_types acknowledge_all", CALL, keys, [each.entry for each in deliveries]).decode()


def pending(database, deliveries):
    return len(database.ask("XPENDING", deliveries[0].stream, "workers", "-", "+", 10))


def test_entries_that_were_all_in_flight_are_the_callers(database, deliveries):
    assert acknowledge(database, deliveries) == "true"
    assert pending(database, deliveries) == 0


def test_a_second_send_and_an_entry_of_another_caller_are_told(database, deliveries):
    database.ask("XACK", deliveries[0].stream, "workers", deliveries[0].entry)
    assert acknowledge(database, deliveries) == "false"
    assert pending(database, deliveries) == 0
    with nothing_written(database):
        assert acknowledge(database, deliveries) == "false"


def test_an_attempt_of_the_wrong_type_leaves_all_entries_in_flight(database, deliveries):
    database.client.set(database.keys.attempt(ATTEMPTS[1]), "text")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        acknowledge(database, deliveries)
    assert pending(database, deliveries) == 2


def test_where_the_stream_is_gone_none_is_the_callers(database, deliveries):
    database.client.delete(deliveries[0].stream)
    assert acknowledge(database, deliveries) == "false"
