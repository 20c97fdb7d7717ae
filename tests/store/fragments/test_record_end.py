from tests.support.fragments import execute
from tests.support.shard_state import records, ttl_ms

CALL = "record_end({attempt}, KEYS[2], KEYS[3], 'run_1', ARGV[1], 7000, 600000, 4, 2)"


def record(database, state, attempt="KEYS[1]"):
    keys = database.keys
    touched = [keys.attempt("run_1-2"), keys.run("run_1"), keys.dead]
    execute(
        database,
        "record_end",
        CALL.format(attempt=attempt),
        touched,
        [state, "state", "failed", "number", 2, "state", state, "attempt", 2],
    )


def test_the_run_and_its_attempt_are_written_and_expire(database):
    record(database, "succeeded")
    assert records(database) == {
        "attempt:run_1-2": {"state": "failed", "number": "2"},
        "run:run_1": {"state": "succeeded", "attempt": "2"},
    }
    assert ttl_ms(database, "attempt:run_1-2") == ttl_ms(database, "run:run_1") == 600_000


def test_a_dead_run_is_among_the_dead_letters_until_its_records_expire(database):
    record(database, "dead")
    assert records(database)["dead"] == {"run_1": 607_000}


def test_of_a_run_that_never_began_no_attempt_is_written(database):
    record(database, "canceled", "false")
    assert records(database) == {"run:run_1": {"state": "canceled", "attempt": "2"}}
