import pytest

from jobistemer.core import ids
from tests.support.fragments import execute
from tests.support.lifecycle import enqueue
from tests.support.shard_state import records

CALL = (
    "local failed = record_success(KEYS[1], KEYS[2], 'alice', 60000, 0, 1000, 2000, ARGV[1]) "
    "return failed and failed.err or 'WRITTEN'"
)
ATTEMPT = ids.attempt_id("run_1", 0)


def record(database, result=""):
    keys = [database.keys.run("run_1"), database.keys.attempt(ATTEMPT)]
    return execute(database, "record_success", CALL, keys, [result]).decode()


@pytest.mark.parametrize("result", ["", "42"])
def test_run_and_attempt_are_on_record_and_expire(database, result):
    enqueue(database)
    assert record(database, result) == "WRITTEN"
    after = records(database)
    run, attempt = after["run:run_1"], after[f"attempt:{ATTEMPT}"]
    assert (run["state"], run["ended_at"], run.get("result", "")) == ("succeeded", "2000", result)
    assert attempt == {"state": "succeeded", "number": "0", "worker": "alice", "started_at": "1000", "ended_at": "2000"}
    for key in (database.keys.run("run_1"), database.keys.attempt(ATTEMPT)):
        assert 0 < database.client.pttl(key) <= 60_000


def test_a_second_send_writes_the_same(database):
    enqueue(database)
    record(database, "42")
    before = records(database)
    record(database, "42")
    assert records(database) == before


def test_a_run_of_the_wrong_type_is_told_and_its_attempt_is_not_written(database):
    database.client.set(database.keys.run("run_1"), "x")
    assert "WRONGTYPE" in record(database)
    assert not database.client.exists(database.keys.attempt(ATTEMPT))
