import asyncio
import json
import os
import tempfile

import pytest

from jobistemer import NO_RETRIES
from jobistemer.core import ids
from jobistemer.core.errors import Conflict, InvalidInput, UnknownRun
from jobistemer.core.states import RunState
from jobistemer.runtime.process_info import user_name
from tests.support.apps import drain_queues
from tests.support.lifecycle import fetch_one


def answer(result):
    return json.loads(result.stdout)["answer"]


@pytest.mark.parametrize("options", [{}, {"delay": 60}], ids=["queued", "delayed"])
def test_a_run_that_waits_is_cancelled_at_once(cli, app, options):
    run = app.enqueue("greet", **options)
    assert answer(cli("run", "cancel", run.id, "--reason", "wrong address", "--json")) == "canceled"
    assert (run.state(), run.record().error) == (RunState.CANCELED, f"canceled: wrong address (by {user_name()})")


def test_a_run_in_flight_is_cancelled_by_its_worker(cli, app, shard):
    run = app.enqueue("greet")
    fetch_one(shard)
    assert "within a second" in cli("run", "cancel", run.id).stdout
    assert run.record().cancel > 0


def test_a_run_that_has_ended_is_left_alone_and_the_exit_code_says_so(cli, app):
    run = app.enqueue("greet")
    assert run.cancel() is True
    done = cli("run", "cancel", run.id)
    assert (done.exit_code, done.stdout.strip()) == (1, f"{run.id} had ended before; nothing was changed")
    assert run.cancel() is False


def test_a_run_that_nobody_knows_is_refused_by_its_id(cli, app):
    refused = cli("run", "cancel", "run_x")
    assert refused.exit_code == 1
    assert "run run_x is not on record" in refused.stderr
    with pytest.raises(UnknownRun, match="run_x is not on record"):
        app.run("run_x").cancel()


def test_a_handle_can_be_cancelled_from_a_coroutine(app):
    run = app.enqueue("greet")
    assert asyncio.run(run.cancel_async()) is True
    assert run.state() is RunState.CANCELED


def test_an_occurrence_is_cancelled_with_its_runs(cli, app):
    app.deploy()
    occurrence, _ = app.control.trigger("nightly")
    assert answer(cli("occurrence", "cancel", occurrence, "--json")) == "canceled"
    run = ids.run_id(occurrence, ids.task_id(ids.job_id("nightly"), "nightly"))
    assert app.run(run).state() is RunState.CANCELED
    again = cli("occurrence", "cancel", occurrence)
    assert (again.exit_code, again.stdout.strip()) == (1, f"{occurrence} had ended before; nothing was changed")


def test_an_occurrence_that_nobody_knows_is_refused_by_its_id(cli):
    assert "occurrence occ_x is not on record" in cli("occurrence", "cancel", "occ_x").stderr


def test_a_run_that_was_cancelled_is_retried_as_a_new_run_and_each_names_the_other(cli, app, shard):
    run = app.enqueue("greet", {"name": "ann"})
    run.cancel("too early")
    again = json.loads(cli("run", "retry", run.id, "--json").stdout)
    assert again["retry_of"] == run.id
    new = app.run(again["run"])
    assert (new.state(), new.record().retry_of, run.record().retried_as) == (RunState.PENDING, run.id, new.id)
    assert bytes(fetch_one(shard).message.payload) == b'{"name":"ann"}'
    assert f"retried as {new.id}" in cli("run", "show", run.id).stdout
    refused = cli("run", "retry", run.id)
    assert (refused.exit_code, f"was retried before, as {new.id}" in refused.stderr) == (1, True)


def test_a_handle_retries_a_run_that_failed_and_the_result_is_that_of_the_new_one(app):
    @app.task(retry=NO_RETRIES)
    def twice(path: str) -> int:
        if not os.path.exists(path):
            os.mkdir(path)
            raise OSError("not yet")
        return 2

    run = twice.enqueue(os.path.join(tempfile.mkdtemp(), "flag"))
    drain_queues(app)
    assert run.state() is RunState.DEAD
    again = run.retry()
    drain_queues(app)
    assert (again.result(), list(app.dead.all())) == (2, [])


@pytest.mark.parametrize(
    ("state", "error", "words"),
    [("pending", Conflict, "cancel it first"), ("succeeded", InvalidInput, "there is nothing to retry")],
)
def test_a_run_that_has_not_failed_is_not_retried(app, state, error, words):
    run = app.enqueue("greet")
    if state == "succeeded":
        drain_queues(app)
    with pytest.raises(error, match=words):
        run.retry()


def test_a_run_that_is_not_on_record_is_not_retried(app):
    with pytest.raises(UnknownRun):
        app.run("run_x").retry()
