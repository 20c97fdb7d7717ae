import pytest

from tests.support.fragments import execute
from tests.support.shard_state import records, ttl_ms

CALL = "record_end({attempt}, KEYS[2], KEYS[3], 'run_1', ARGV[1], 7000, 600000, '{buried}', 4, 2, {overdue})"


def record(database, state, attempt="KEYS[1]", *, buried=0, overdue="nil"):
    keys = database.keys
    touched = [keys.attempt("run_1-2"), keys.run("run_1"), keys.dead, keys.occurrence("occ_1")]
    execute(
        database,
        "record_end",
        CALL.format(attempt=attempt, buried=buried, overdue=overdue),
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


@pytest.mark.parametrize("state", ["dead", "timed_out"])
def test_a_run_that_is_out_of_attempts_is_among_the_dead_letters_until_its_records_expire(database, state):
    record(database, state, buried=1)
    assert records(database)["dead"] == {"run_1": 607_000}


def test_a_dead_run_of_a_task_without_dead_letters_is_in_no_list(database):
    record(database, "failed")
    assert "dead" not in records(database)


def test_what_the_deadline_of_its_occurrence_ends_has_timed_out_and_says_so(database):
    database.ask("HSET", database.keys.occurrence("occ_1"), "error", "timed out after 60 s")
    database.ask("HSET", database.keys.run("run_1"), "cancel_reason", "its occurrence has to end")
    record(database, "canceled", overdue="KEYS[4]")
    run = records(database)["run:run_1"]
    assert (run["state"], run["error"]) == ("timed_out", "its occurrence timed out after 60 s")


def test_of_a_run_that_never_began_no_attempt_is_written(database):
    record(database, "canceled", "false")
    assert records(database) == {
        "run:run_1": {"state": "canceled", "attempt": "2", "unbegun": "1", "cancel_reason": ""}
    }
