import pytest

from jobistemer.core import ids
from jobistemer.store.calls import runs
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import MINUTE, T0, build_ended, claim, decision, enqueue, fetch_one, finish, job, register
from tests.support.shard_state import find_leaks, nothing_written, records

FIRST = ids.attempt_id("run_1", 0)


def show(database, delivery, worker="alice"):
    return database.call(runs.start_attempt(database.keys, delivery, worker, NOW + 5))


def test_an_attempt_that_is_still_going_is_shown(database):
    enqueue(database)
    delivery = fetch_one(database)
    before = records(database)
    assert show(database, delivery) == Reply("SHOWN", [])

    assert records(database) == before | {
        "run:run_1": before["run:run_1"] | {"state": "running", "attempt": "0"},
        f"attempt:{FIRST}": {"state": "running", "number": "0", "worker": "alice", "started_at": str(NOW + 5)},
    }


def test_a_second_send_of_the_same_call_changes_nothing(database):
    enqueue(database)
    delivery = fetch_one(database)
    show(database, delivery)
    with nothing_written(database):
        assert show(database, delivery) == Reply("SHOWN", [])


def test_the_occurrence_is_running_with_its_first_run(database):
    register(database, job())
    claim(database, job(), decision(T0 + MINUTE))
    assert show(database, fetch_one(database)) == Reply("SHOWN", [])
    occurrence = ids.occurrence_id(job().id, T0 + MINUTE)
    assert records(database)[f"occurrence:{occurrence}"]["state"] == "running"


@pytest.mark.parametrize("state", ["succeeded", "failed", "lost", "canceled"])
def test_a_zombie_cannot_show_an_attempt_that_has_ended(database, state):
    enqueue(database)
    delivery = fetch_one(database)
    finish(database, build_ended(delivery, state))
    with nothing_written(database):
        assert show(database, delivery) == Reply("STALE", [])


def test_a_zombie_cannot_show_its_attempt_over_the_next_one(database):
    enqueue(database)
    old = fetch_one(database)
    finish(database, build_ended(old, "lost"))
    show(database, fetch_one(database, "bob"), "bob")
    with nothing_written(database):
        assert show(database, old) == Reply("STALE", [])


def test_without_a_run_nothing_is_shown(database):
    enqueue(database)
    delivery = fetch_one(database)
    database.client.delete(database.keys.run("run_1"))
    with nothing_written(database):
        assert show(database, delivery) == Reply("STALE", [])


def test_a_shown_attempt_gets_its_expiry_when_it_ends(database):
    enqueue(database)
    delivery = fetch_one(database)
    show(database, delivery)
    assert set(find_leaks(database)) == {"run:run_1", f"attempt:{FIRST}", "stream:default:5"}
    finish(database, build_ended(delivery))
    assert find_leaks(database) == {}


def test_a_run_that_is_to_be_cancelled_is_shown_and_its_worker_is_told(database):
    enqueue(database)
    delivery = fetch_one(database)
    database.call(runs.request_cancel(database.keys, "run_1", delivery.entry.decode(), NOW))
    assert show(database, delivery) == Reply("CANCELED", [])
    assert records(database)["run:run_1"]["state"] == "running"
    with nothing_written(database):
        assert show(database, delivery) == Reply("CANCELED", [])
