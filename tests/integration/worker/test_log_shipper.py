"""The log shipper: the lines of handlers reach the record of their attempts while these are executed."""

from __future__ import annotations

from functools import partial

import pytest

from jobistemer.core import ids
from jobistemer.core.builtin_tasks import Permissions
from jobistemer.core.errors import ServerRefused
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.jobs.options import Options
from jobistemer.core.runs.settle import Outcome
from jobistemer.core.states import AttemptState
from jobistemer.store.calls.attempt_log import read_attempt_log
from jobistemer.worker.attempts.in_flight import RunningAttempts
from jobistemer.worker.execute.context_tools import ContextResources, ContextTools
from tests.support.lifecycle import build_attempt, enqueue, fetch_one

SAME_ENTRY = "1900000000000-0"


@pytest.fixture
def resources():
    return ContextResources(Permissions())


def begin(database, resources, run, queue):
    """An attempt that is being executed; its entry has the same id in each queue."""
    enqueue(database, run, queue=queue)
    stream = database.keys.stream(f"{queue}:5")
    ((entry, fields),) = database.client.xrange(stream)
    database.client.xdel(stream, entry)
    database.client.xadd(stream, fields, id=SAME_ENTRY)
    database.client.hset(database.keys.run(run), "entry", SAME_ENTRY)
    attempts = RunningAttempts(create_tools=partial(ContextTools, resources=resources))
    attempt = build_attempt(
        database, fetch_one(database, where=f"{queue}:5"), Handler("greet", lambda: None, Options())
    )
    attempt.tools = attempts.create_tools(attempt)
    assert attempts.begin(attempt, lambda: None)
    return attempt


def stored(database, run):
    return [line.text for line in read_attempt_log(database, ids.attempt_id(run, 0)).lines]


def test_lines_of_two_attempts_whose_entries_have_the_same_id_are_both_sent(database, resources):
    for run, queue in (("run_1", "north"), ("run_2", "south")):
        begin(database, resources, run, queue).tools.store_line(f"of {queue}", "info")
    resources.log_shipper.step()
    assert [stored(database, run) for run in ("run_1", "run_2")] == [["of north"], ["of south"]]


def test_lines_that_the_server_has_refused_are_sent_again_and_hold_up_no_others(database, resources):
    refused, other = begin(database, resources, "run_1", "north"), begin(database, resources, "run_2", "south")
    log = database.keys.log(ids.attempt_id("run_1", 0))
    database.client.set(log, "in the way")
    refused.tools.store_line("first", "info")
    other.tools.store_line("of the other", "info")
    with pytest.raises(ServerRefused):
        resources.log_shipper.step()
    assert stored(database, "run_2") == ["of the other"]

    database.client.delete(log)
    resources.log_shipper.step()
    assert stored(database, "run_1") == ["first"]


def test_lines_of_an_attempt_that_has_ended_are_not_sent_again(database, resources):
    refused = begin(database, resources, "run_1", "north")
    database.client.set(database.keys.log(ids.attempt_id("run_1", 0)), "in the way")
    refused.tools.store_line("first", "info")
    with pytest.raises(ServerRefused):
        resources.log_shipper.step()
    refused.outcome = Outcome(AttemptState.SUCCEEDED)
    resources.log_shipper.step()
    assert stored(database, "run_1") == []
