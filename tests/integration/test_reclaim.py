"""What a dead worker leaves behind is taken over, whatever state it is in, and the worker is forgotten."""

import pytest

from jobistemer.core import ids
from jobistemer.core.retries import NO_RETRIES, Delays
from jobistemer.store import members, queues, runs
from jobistemer.worker.definitions import Definitions
from jobistemer.worker.reclaim import Reclaimer
from tests.support.clocks import NOW
from tests.support.records import leaked, records
from tests.support.stories import (
    MINUTE,
    T0,
    claim,
    decision,
    ended,
    enqueue,
    finish,
    job,
    register,
    take,
    take_one,
    task,
)

DEFAULT = "default:5"


@pytest.fixture
def reclaimer(database):
    """Alice has beaten once and is dead as soon as she is looked at."""
    database.call(members.beat_worker(database.keys, "alice", NOW, 15_000, NOW, b"{}"))
    return Reclaimer(database, 0.0, Definitions())


def observe(reclaimer):
    return reclaimer.observe({"alice": NOW}, [DEFAULT])


def is_forgotten(database):
    return "worker:alice" not in records(database)


def test_a_run_goes_on_with_its_next_attempt(database, reclaimer):
    enqueue(database)
    take_one(database)
    assert observe(reclaimer) == 1
    assert is_forgotten(database)
    again = take_one(database, "bob")
    assert (again.attempt, again.crashes) == (1, 1)


def test_a_run_that_is_to_be_cancelled_ends_with_the_attempt_that_was_lost(database, reclaimer):
    enqueue(database)
    delivery = take_one(database)
    database.call(runs.request_cancel(database.keys, "run_1", delivery.entry.decode(), NOW))
    assert observe(reclaimer) == 1
    state = records(database)
    assert state["run:run_1"]["state"] == "canceled"
    assert state[f"attempt:{ids.attempt_id('run_1', 0)}"]["state"] == "lost"
    assert is_forgotten(database)
    assert leaked(database) == {}


def test_a_run_of_an_occurrence_that_has_failed_meanwhile_ends_with_it(database, reclaimer):
    definition = job(task("a", retry=Delays((5.0,))), task("b", retry=NO_RETRIES))
    register(database, definition)
    claim(database, definition, decision(T0 + MINUTE))
    _, b = take(database)
    finish(database, ended(b, "failed"), definition)
    assert observe(reclaimer) == 1
    state = records(database)
    assert state[f"occurrence:{ids.occurrence_id(definition.id, T0 + MINUTE)}"]["state"] == "failed"
    assert leaked(database) == {}


def test_what_cannot_be_read_is_dropped_and_holds_up_nothing(database, reclaimer):
    queues.open_streams(database, [DEFAULT])
    database.client.xadd(database.keys.stream(DEFAULT), {"m": "not a message", "n": 0, "c": 0})
    enqueue(database)
    take(database)
    assert observe(reclaimer) == 1
    assert is_forgotten(database)
    assert [each.message.run for each in take(database, "bob")] == ["run_1"]


def test_what_was_trimmed_from_the_stream_by_hand_holds_up_nothing(database, reclaimer):
    enqueue(database)
    delivery = take_one(database)
    database.client.xdel(database.keys.stream(DEFAULT), delivery.entry)
    assert observe(reclaimer) == 0
    assert is_forgotten(database)


def test_two_who_find_the_same_worker_dead_take_its_work_over_once(database, open_database, reclaimer):
    enqueue(database)
    take_one(database)
    other = Reclaimer(open_database(), 0.0, Definitions())
    assert [observe(reclaimer), observe(other)] == [1, 0]
    assert len(take(database, "bob")) == 1


def test_a_zombie_that_wakes_up_finds_its_work_gone(database, reclaimer):
    enqueue(database)
    delivery = take_one(database)
    observe(reclaimer)
    assert finish(database, ended(delivery)).word == "STALE"
