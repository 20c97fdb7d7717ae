"""Every row of the truth tables in docs/reference/failure-strategies.md, lived through."""

from __future__ import annotations

import msgspec
import pytest

from jobistemer.core import ids
from jobistemer.core.jobs.job import FailureStrategy
from jobistemer.core.jobs.retries import NO_RETRIES, Delays
from jobistemer.store.actions import cancel
from jobistemer.store.calls import runs
from jobistemer.store.keys import delayed_member
from jobistemer.store.reads import records as views
from tests.support.lifecycle import MINUTE, T0, build_ended, claim, decision, fetch, finish, job, register, task
from tests.support.paths import ROOT
from tests.support.shard_state import find_leaks, records

PAGE = ROOT / "docs/reference/failure-strategies.md"
ONE = T0 + MINUTE
FAILED, FLYING, READY, RETRYING, AFTER_FAILED, AFTER_FLYING = "failed", "flying", "ready", "retrying", "after", "later"
COLUMNS = (FAILED, FLYING, READY, RETRYING, AFTER_FAILED, AFTER_FLYING)
AGAIN = Delays((60.0,))
TASKS = {
    "sequential": (task(FAILED, retry=NO_RETRIES), task(AFTER_FAILED, FAILED)),
    "parallel": (task(FAILED, retry=NO_RETRIES), task(FLYING), task(RETRYING, retry=AGAIN), task(READY, queue="other")),
}
TASKS["graph"] = (*TASKS["parallel"], task(AFTER_FAILED, FAILED), task(AFTER_FLYING, FLYING))


def table(first_heading):
    """The rows of the table on the page whose first heading, and number of columns, tell it from the others."""
    rows = [line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    start = next(at for at, row in enumerate(rows) if row[:2] == ["strategy", first_heading])
    body = rows[start + 2 :]
    return [row for row in body if len(row) == len(rows[start])]


ROWS = table("mode")


def run_id(definition, name):
    return ids.run_id(ids.occurrence_id(definition.id, ONE), ids.task_id(definition.id, name))


def until_nothing_is_left(database, definition):
    """Workers do what there is to do; everything succeeds, unless somebody asked for it to be cancelled."""
    for _ in range(10):
        for where in ("default:5", "other:5"):
            for delivery in fetch(database, where=where):
                finish(database, build_ended(delivery), definition)
        waiting = [(each.options, run_id(definition, each.name)) for each in definition.tasks]
        members = [delayed_member("default:5", run) for _, run in waiting]
        database.call(runs.promote_runs(database.keys, members, ONE * 1000 + 3_600_000))


def lived_through(database, strategy, mode):
    """The final states after: one task fails while others fly, are ready, wait for a retry, or for one another."""
    definition = job(*TASKS[mode], failure=FailureStrategy(strategy))
    register(database, definition)
    claim(database, definition, decision(ONE))
    flights = {each.message.task_ref.task: each for each in fetch(database)}
    if RETRYING in flights:
        finish(database, build_ended(flights[RETRYING], "failed", error="first try"), definition)
    finish(database, build_ended(flights[FAILED], "failed", error="oops"), definition)
    cancel.cancel_siblings(database, definition, flights[FAILED].message.task_ref)
    if FLYING in flights:
        asked = flights[FLYING].message.run in records(database).get("cancels", {})
        finish(database, build_ended(flights[FLYING], "canceled" if asked else "succeeded"), definition)
    until_nothing_is_left(database, definition)
    states = {each.name: views.find_run(database, run_id(definition, each.name)).state for each in definition.tasks}
    (occurrence,) = views.find_occurrences(database, [ids.occurrence_id(definition.id, ONE)])
    return [states.get(name, "–") for name in COLUMNS] + [occurrence.state]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_a_row_of_the_table_is_what_happens(database, row):
    strategy, mode, *expected = row
    assert lived_through(database, strategy, mode) == expected
    left = find_leaks(database)
    left.pop("cancels", None)
    assert left == {}


def test_the_table_has_a_row_for_every_strategy_in_every_mode():
    assert {(row[0], row[1]) for row in ROWS} == {(each, mode) for each in FailureStrategy for mode in TASKS}


def test_a_task_may_say_for_itself_what_its_failure_does(database):
    definition = job(
        *(task(FAILED, retry=NO_RETRIES), task(FLYING), task(AFTER_FLYING, FLYING), task(AFTER_FAILED, FAILED)),
    )
    first, *rest = definition.tasks
    mild = msgspec.structs.replace(first, failure=FailureStrategy.CONTINUE)
    definition = msgspec.structs.replace(definition, tasks=(mild, *rest))
    register(database, definition)
    claim(database, definition, decision(ONE))
    flights = {each.message.task_ref.task: each for each in fetch(database)}
    finish(database, build_ended(flights[FAILED], "failed"), definition)
    cancel.cancel_siblings(database, definition, flights[FAILED].message.task_ref)
    finish(database, build_ended(flights[FLYING]), definition)
    until_nothing_is_left(database, definition)
    states = {each.name: views.find_run(database, run_id(definition, each.name)).state for each in definition.tasks}
    assert states == {FAILED: "dead", FLYING: "succeeded", AFTER_FLYING: "succeeded", AFTER_FAILED: "skipped"}
