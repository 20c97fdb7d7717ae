import msgspec
import pytest

from jobistemer.core import ids
from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.core.runs.dead_letter import DeadLetter
from jobistemer.store.calls import commit_extensions
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import (
    T0,
    build_ended,
    claim,
    decision,
    enqueue,
    fetch,
    fetch_one,
    finish,
    job,
    register,
    task,
)
from tests.support.shard_state import nothing_written, records

TASK_RUN = ids.letter_run_id("run_1")


@pytest.fixture
def doomed(database):
    enqueue(database, retry=NO_RETRIES, on_dead="alert", payload={"n": 1}, metadata={"who": "ann"})
    return fetch_one(database)


def die(database, delivery, **outcome):
    return finish(database, build_ended(delivery, "failed", **outcome or {"error": "ValueError: no"}))


def test_a_death_enqueues_the_task_that_is_told_of_it(database, doomed):
    die(database, doomed)
    (letter,) = fetch(database)
    assert (letter.message.run, letter.message.handler, letter.message.on_dead) == (TASK_RUN, "alert", "")
    dead_letter = msgspec.json.decode(letter.message.payload, type=dict[str, DeadLetter])["letter"]
    assert dead_letter == DeadLetter(
        *("run_1", "greet", {"n": 1}, 1, NOW + 1000, "ValueError: no"),
        metadata={"who": "ann"},
    )
    after = records(database)
    assert after[f"run:{TASK_RUN}"] == {
        "state": "pending",
        "handler": "alert",
        "place": "default:5",
        "enqueued_at": str(NOW + 1000),
        "entry": letter.entry.decode(),
    }
    assert "letter" not in after["run:run_1"]
    assert set(after["dead"]) == {"run_1"}


def test_a_second_send_tells_nobody_twice(database, doomed):
    die(database, doomed)
    with nothing_written(database):
        die(database, doomed)


def test_a_zombie_tells_nobody(database, doomed):
    finish(database, build_ended(doomed, "lost", "bob"))
    with nothing_written(database):
        assert die(database, doomed) == Reply("STALE", [])


@pytest.mark.parametrize("outcome", [{"state": "succeeded"}, {"state": "canceled"}, {"state": "failed", "final": True}])
def test_other_ends_are_told_to_nobody(database, doomed, outcome):
    finish(database, build_ended(doomed, **outcome))
    assert fetch(database) == []


def test_the_death_of_the_task_itself_is_told_to_nobody(database, doomed):
    die(database, doomed)
    (letter,) = fetch(database)
    assert letter.message.on_dead == ""


def test_a_task_of_an_occurrence_is_named_in_the_letter(database):
    definition = job(task("a", retry=NO_RETRIES, on_dead="alert"))
    register(database, definition)
    claim(database, definition, decision(T0 + 60))
    finish(database, build_ended(fetch_one(database), "failed", error="no"), definition)
    (letter,) = fetch(database)
    dead_letter = msgspec.json.decode(letter.message.payload, type=dict[str, DeadLetter])["letter"]
    assert (dead_letter.task, dead_letter.job) == ("a", definition.id)


def test_without_a_mark_nothing_is_written(database, doomed):
    call = commit_extensions._enqueue_on_dead(database.keys, doomed.message, NOW)
    with nothing_written(database):
        assert database.call(call) == Reply("BEFORE", [])
