import pytest

from jobistemer.core import ids
from jobistemer.core.jobs.job import Overlap
from jobistemer.store.calls import occurrences
from jobistemer.store.scripts import Reply
from tests.support.lifecycle import MINUTE, T0, build_ended, claim, decision, fetch_one, finish, job, register
from tests.support.shard_state import nothing_written, records, ttl_ms

DEFINITION = job(overlap=Overlap.QUEUE)
ID = DEFINITION.id
ONE, TWO = T0 + MINUTE, T0 + 2 * MINUTE
LIVE, WAITING = ids.occurrence_id(ID, ONE), ids.occurrence_id(ID, TWO)
LATER = TWO * 1000 + 5


@pytest.fixture
def queue(database):
    """One occurrence is live and one waits for it."""
    register(database, DEFINITION)
    claim(database, DEFINITION, decision(ONE))
    claim(database, DEFINITION, decision(TWO))
    return database


def cancel(database, occurrence=WAITING):
    return database.call(
        occurrences.cancel_queued(database.keys, ID, occurrence, LATER, "not needed", 600_000),
    )


def test_an_occurrence_that_waits_is_cancelled_with_the_reason(queue):
    before = records(queue)
    assert cancel(queue) == Reply("CANCELED", [])
    expected = before | {
        f"occurrence:{WAITING}": before[f"occurrence:{WAITING}"]
        | {"state": "canceled", "ended_at": str(LATER), "error": "not needed"},
    }
    del expected[f"queued:{ID}"]
    assert records(queue) == expected
    assert ttl_ms(queue, f"occurrence:{WAITING}") == 600_000


def test_a_second_send_of_the_same_call_writes_nothing(queue):
    cancel(queue)
    with nothing_written(queue):
        assert cancel(queue) == Reply("TAKEN", [])


def test_an_occurrence_that_has_started_is_not_cancelled_here(queue):
    with nothing_written(queue):
        assert cancel(queue, LIVE) == Reply("TAKEN", [])


def test_an_occurrence_that_has_ended_stays_as_it_is(queue):
    finish(queue, build_ended(fetch_one(queue)), DEFINITION)
    with nothing_written(queue):
        assert cancel(queue, LIVE) == Reply("TAKEN", [])


def test_an_occurrence_that_is_not_on_record_cannot_be_cancelled(queue):
    with nothing_written(queue):
        assert cancel(queue, "occ_none") == Reply("TAKEN", [])


def test_nobody_is_asked_to_start_the_queue_once_it_is_empty(queue):
    finish(queue, build_ended(fetch_one(queue)), DEFINITION)
    assert records(queue)["starts"] == {ID}
    cancel(queue)
    assert "starts" not in records(queue)
