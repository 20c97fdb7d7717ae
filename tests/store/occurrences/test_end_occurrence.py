import msgspec
import pytest

from jobistemer.core import ids
from jobistemer.core.jobs.job import Task
from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.store.calls import run_ends
from jobistemer.store.scripts import Reply
from tests.support.groups import group_of, reducer
from tests.support.lifecycle import (
    MINUTE,
    T0,
    build_ended,
    claim,
    decision,
    fetch,
    fetch_one,
    finish,
    job,
    register,
    task,
)
from tests.support.shard_state import find_leaks, nothing_written, records, ttl_ms

DAY = 86_400_000
DONE = Task("on_complete", "report.on_complete")
ONE = T0 + MINUTE


def occurrence(definition):
    return ids.occurrence_id(definition.id, ONE)


def fired(database, definition):
    register(database, definition)
    claim(database, definition, decision(ONE))
    return definition


def run_key(definition, name):
    return f"run:{ids.run_id(occurrence(definition), ids.task_id(definition.id, name))}"


@pytest.mark.parametrize(
    ("state", "outcome"), [("succeeded", "completed"), ("failed", "failed"), ("canceled", "canceled")]
)
def test_whatever_the_outcome_the_end_enqueues_on_complete_once(database, state, outcome):
    definition = fired(database, job(task("a", retry=NO_RETRIES), on_complete=DONE))
    over = build_ended(fetch_one(database), state)
    assert finish(database, over, definition) == Reply("DONE", [0])
    (completion,) = fetch(database)
    assert completion.message.handler == "report.on_complete"
    assert completion.message.metadata == {"job": definition.id, "occurrence": occurrence(definition)}
    assert completion.message.task_ref is None
    assert records(database)[f"occurrence:{occurrence(definition)}"]["state"] == outcome
    with nothing_written(database):
        finish(database, over, definition)


def test_a_second_send_says_once_more_that_the_occurrence_has_ended(database):
    # The answer to the first send was lost: without the word its groups would outlive the occurrence.
    definition = fired(database, job(task("a"), on_complete=DONE))
    call = run_ends.record_end(database.keys, build_ended(fetch_one(database)), definition)
    assert [database.call(call).extensions[-1] for _ in range(2)] == [Reply("ENDED", [])] * 2


def test_it_is_no_part_of_the_occurrence_and_may_fail_without_it(database):
    definition = fired(database, job(task("a"), on_complete=DONE))
    finish(database, build_ended(fetch_one(database)), definition)
    before = records(database)[f"occurrence:{occurrence(definition)}"]
    finish(database, build_ended(fetch_one(database), "failed", final=True))
    assert records(database)[f"occurrence:{occurrence(definition)}"] == before
    assert find_leaks(database) == {}


def test_a_job_of_several_tasks_enqueues_it_after_the_last(database):
    definition = fired(database, job(task("a"), task("b", "a"), on_complete=DONE))
    finish(database, build_ended(fetch_one(database)), definition)
    b = fetch_one(database)
    assert b.message.task_ref.task == "b"
    finish(database, build_ended(b), definition)
    assert fetch_one(database).message.handler == "report.on_complete"


def test_it_is_enqueued_to_its_own_queue(database):
    done = msgspec.structs.replace(DONE, options=task("x", queue="mail", priority=9).options)
    definition = fired(database, job(task("a"), on_complete=done))
    finish(database, build_ended(fetch_one(database)), definition)
    assert fetch_one(database, where="mail:9").message.run == ids.completion_run_id(occurrence(definition))


def test_records_outlive_an_occurrence_that_goes_on_longer_than_they_are_kept(database):
    definition = fired(database, job(task("a"), task("b", "a"), history_s=60))
    finish(database, build_ended(fetch_one(database)), definition)
    assert ttl_ms(database, run_key(definition, "a")) == 30 * DAY
    finish(database, build_ended(fetch_one(database)), definition)
    assert {ttl_ms(database, run_key(definition, name)) for name in "ab"} == {60_000}
    assert find_leaks(database) == {}


def test_dead_runs_stay_as_long_as_the_list_of_the_dead_names_them(database):
    definition = fired(database, job(task("a", retry=NO_RETRIES), task("b", "a"), history_s=60))
    finish(database, build_ended(fetch_one(database), "failed"), definition)
    assert ttl_ms(database, run_key(definition, "a")) == 7 * DAY
    assert ttl_ms(database, run_key(definition, "b")) == 60_000


def test_a_zombie_ends_nothing(database):
    definition = fired(database, job(task("a"), on_complete=DONE))
    delivery = fetch_one(database)
    finish(database, build_ended(delivery, "lost", "bob"), definition)
    with nothing_written(database):
        assert finish(database, build_ended(delivery), definition) == Reply("STALE", [])


def test_of_an_occurrence_that_is_gone_nothing_is_made(database):
    definition = fired(database, job(task("a"), task("b"), on_complete=DONE))
    a, _ = fetch(database)
    database.client.delete(database.keys.occurrence(occurrence(definition)))
    over = build_ended(a)
    ending = run_ends.record_end(database.keys, over, definition)
    assert database.call(ending.extensions[0]) == Reply("OPEN", [])


def test_a_group_holds_its_occurrence_open_and_releases_what_comes_after(database):
    definition = fired(database, job(task("fan"), task("next", "fan")))
    parent = fetch_one(database)
    waiting_reducer = reducer(parent.message.run, task_ref=parent.message.task_ref)
    over = build_ended(parent)._replace(reducers=(waiting_reducer,), groups_made=1)
    assert finish(database, over, definition) == Reply("DONE", [])
    assert records(database)[f"occurrence:{occurrence(definition)}"]["open"] == "2"
    last = fetch_one(database)
    assert last.message.run == group_of(parent.message.run)
    assert finish(database, build_ended(last), definition) == Reply("DONE", [1])
    assert fetch_one(database).message.task_ref.task == "next"
