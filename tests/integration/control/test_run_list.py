"""Runs by state: what has not ended, and the dead letters."""

import pytest

from jobistemer.control.run_list import OPEN_STATES, RunChoice, list_runs
from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.core.states import RunState
from jobistemer.store.calls.runs import enqueue_run
from jobistemer.store.reads.records import find_run
from tests.support.clocks import NOW
from tests.support.lifecycle import build_ended, enqueue, fetch_one, finish, message
from tests.support.steps import suspend

LATER = NOW + 3_600_000
RUNNING, SUSPENDED, PENDING, SCHEDULED, LIMITED = (f"run_{number}" for number in range(1, 6))


def let_two_runs_die(database):
    for run, state in (("run_1", "failed"), ("run_2", "timed_out")):
        enqueue(database, run, retry=NO_RETRIES)
        finish(database, build_ended(fetch_one(database), state, error=f"{state} at last"))


def test_dead_letters_are_listed_as_dead_or_as_timed_out(database):
    let_two_runs_die(database)
    pages = {each: list_runs([database], RunChoice([each]), 10).runs for each in ("dead", "timed_out")}
    assert {each: [(run.id, run.state) for run in runs] for each, runs in pages.items()} == {
        "dead": [("run_1", "dead")],
        "timed_out": [("run_2", "timed_out")],
    }


def test_both_kinds_of_dead_letters_are_counted_once(database):
    let_two_runs_die(database)
    page = list_runs([database], RunChoice(["dead", "timed_out"]), 1)
    assert (len(page.runs), page.total) == (1, 2)


@pytest.fixture
def runs_that_go_on(database):
    """Five runs: running, pending on its stream, pending for a limit, scheduled, suspended."""
    for run in (RUNNING, SUSPENDED):
        enqueue(database, run)
    fetch_one(database)
    suspend(database, fetch_one(database), due_at=LATER)
    enqueue(database, PENDING)
    database.call(enqueue_run(database.keys, message(SCHEDULED), LATER))
    keys = database.keys
    database.client.hset(keys.limits, "printer", 1)
    database.client.zadd(keys.waiting("printer"), {"default:5:run_5": 1})
    fields = {"state": "pending", "handler": "prints", "place": "default:5", "waiting": "printer", "enqueued_at": NOW}
    database.client.hset(keys.run(LIMITED), mapping=fields)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (OPEN_STATES, {RUNNING, PENDING, LIMITED, SCHEDULED, SUSPENDED}),
        (["pending"], {PENDING, LIMITED}),
        (["limited"], {LIMITED}),
        (["limited", "running"], {LIMITED, RUNNING}),
        (["scheduled"], {SCHEDULED}),
        (["suspended"], {SUSPENDED}),
        (["suspended", "running"], {SUSPENDED, RUNNING}),
        (["suspended", "scheduled"], {SCHEDULED, SUSPENDED}),
    ],
    ids=lambda value: " and ".join(value) if isinstance(value, list) else None,
)
def test_runs_that_go_on_are_found_and_counted_by_their_states(database, runs_that_go_on, states, expected):
    page = list_runs([database], RunChoice(states), 10)
    assert {run.id for run in page.runs} == expected
    assert (page.total, page.is_exact) == (len(expected), True)


def test_a_list_says_the_state_that_the_record_has(database, runs_that_go_on):
    listed = {run.id: run.state for run in list_runs([database], RunChoice(OPEN_STATES), 10).runs}
    # The record of a run in flight says so from the first beat of its worker on.
    assert listed.pop(RUNNING) == RunState.RUNNING
    assert listed == {run: find_run(database, run).state for run in listed}
