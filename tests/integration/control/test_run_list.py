"""Runs by state: what has not ended, and the dead letters."""

from jobistemer.control.run_list import RunChoice, list_runs
from jobistemer.core.jobs.retries import NO_RETRIES
from tests.support.lifecycle import build_ended, enqueue, fetch_one, finish


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
