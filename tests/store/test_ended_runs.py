"""The lists of runs that have ended: what each commit adds to them, and what is read of them."""

import pytest

from jobistemer.core.jobs.job import Overlap
from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.store.calls import bulk_commit
from jobistemer.store.reads.ended_runs import list_ended_runs
from tests.support.clocks import NOW
from tests.support.lifecycle import (
    MINUTE,
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
)
from tests.support.shard_state import ended, nothing_written

ALLOWED = job(overlap=Overlap.ALLOW)


def read(database, *states, **wanted):
    return [(each.id, each.state) for each in list_ended_runs([database], *([states] if states else []), **wanted)]


def finish_all(database, *over):
    return database.call(bulk_commit.commit_successes(database.keys, over))


@pytest.mark.parametrize(
    ("state", "outcome", "listed"),
    [
        ("succeeded", {"result": b"42"}, "succeeded"),
        ("failed", {"final": True, "error": "no"}, "failed"),
        ("failed", {"error": "oops"}, "dead"),
        ("canceled", {}, "canceled"),
    ],
)
def test_a_run_is_listed_under_the_state_in_which_it_has_ended_and_a_second_send_lists_it_once(
    database, state, outcome, listed
):
    enqueue(database, retry=NO_RETRIES)
    over = build_ended(fetch_one(database), state, **outcome)
    finish(database, over)
    assert ended(database) == {listed: ["run_1"]}
    with nothing_written(database):
        finish(database, over)


def test_an_end_that_comes_too_late_is_not_listed(database):
    enqueue(database, retry=NO_RETRIES)
    delivery = fetch_one(database)
    finish(database, build_ended(delivery, "lost", worker="bob", final=True))
    with nothing_written(database):
        finish(database, build_ended(delivery))
        finish_all(database, build_ended(delivery))


def test_successes_that_are_recorded_together_are_listed_together(database):
    for number in range(3):
        enqueue(database, f"run_{number}")
    over = [build_ended(each) for each in fetch(database)]
    finish_all(database, *over)
    assert ended(database) == {"succeeded": ["run_2", "run_1", "run_0"]}
    with nothing_written(database):
        finish_all(database, *over)


def test_tasks_of_occurrences_are_listed_and_name_their_occurrence(database):
    register(database, ALLOWED)
    for number in (1, 2, 3):
        claim(database, ALLOWED, decision(T0 + number * MINUTE))
    first, second, third = fetch(database)
    finish(database, build_ended(first), ALLOWED)
    finish(database, build_ended(second, "failed", final=True, error="no"), ALLOWED)
    finish_all(database, build_ended(third))
    assert ended(database) == {
        "succeeded": [third.message.run, first.message.run],
        "failed": [second.message.run],
    }
    (failed,) = list_ended_runs([database], ["failed"])
    assert (failed.task, failed.note, failed.occurrence) == ("report.only", "no", second.message.task_ref.occurrence)


def test_the_latest_of_all_states_stand_first_and_can_be_chosen_by_state_queue_and_task(database):
    for number, (state, more) in enumerate(
        [("succeeded", {}), ("failed", {"handler": "send_email"}), ("canceled", {"queue": "slow"})]
    ):
        enqueue(database, f"run_{number}", retry=NO_RETRIES, **more)
        over = build_ended(fetch_one(database, where=f"{more.get('queue', 'default')}:5"), state, final=True)
        finish(database, over._replace(ended_at=NOW + number))
    everything = [("run_2", "canceled"), ("run_1", "failed"), ("run_0", "succeeded")]
    assert read(database) == everything
    assert read(database, limit=2) == everything[:2]
    assert read(database, "failed", "succeeded") == everything[1:]
    assert read(database, queue="slow") == everything[:1]
    assert read(database, task="EMAIL") == everything[1:2]
    assert read(database, "running") == []


def test_what_has_expired_and_what_cannot_be_read_is_left_out(database):
    enqueue(database)
    finish(database, build_ended(fetch_one(database)))
    database.client.lpush(database.keys.ended("succeeded"), "run_gone", b"\xff\x00")
    database.client.set(database.keys.ended("failed"), "nonsense")
    assert read(database) == [("run_1", "succeeded")]


def test_a_dead_run_that_was_purged_is_on_no_list(database):
    enqueue(database, retry=NO_RETRIES)
    finish(database, build_ended(fetch_one(database), "failed", error="oops"))
    database.client.delete(database.keys.run("run_1"))
    assert read(database) == []
