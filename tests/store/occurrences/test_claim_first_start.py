from jobistemer.core import ids
from jobistemer.store.calls import occurrences
from jobistemer.store.scripts import Reply
from tests.support.lifecycle import MINUTE, T0, claim, decision, job, register
from tests.support.shard_state import nothing_written, records

DEFINITION = job()
OCCURRENCE = ids.occurrence_id(DEFINITION.id, T0 + MINUTE)


def mark(database, attempt):
    return database.call(occurrences.claim_first_start(database.keys, OCCURRENCE, attempt))


def test_one_attempt_of_an_occurrence_is_the_first(database):
    register(database, DEFINITION)
    claim(database, DEFINITION, decision(T0 + MINUTE))
    assert mark(database, "attempt_1") == Reply("FIRST", [])
    assert records(database)[f"occurrence:{OCCURRENCE}"]["begun_by"] == "attempt_1"
    with nothing_written(database):
        assert mark(database, "attempt_2") == Reply("LATER", [])


def test_a_second_send_gets_the_same_answer(database):
    register(database, DEFINITION)
    claim(database, DEFINITION, decision(T0 + MINUTE))
    mark(database, "attempt_1")
    with nothing_written(database):
        assert mark(database, "attempt_1") == Reply("FIRST", [])


def test_an_occurrence_that_is_gone_is_not_brought_back(database):
    with nothing_written(database):
        assert mark(database, "attempt_1") == Reply("GONE", [])
