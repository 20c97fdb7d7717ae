"""Retries: which errors get one, for how long, and that they survive the end of the server."""

from __future__ import annotations

import pytest

from jobistemer.app import Jobistemer
from jobistemer.core.errors import InvalidDefinition
from jobistemer.core.handlers.context import Context
from jobistemer.core.handlers.control_errors import Fail, Retry
from jobistemer.core.jobs.options import EffectiveOption, Options
from jobistemer.core.jobs.retries import NO_RETRIES, Delays, Exponential
from jobistemer.core.states import RunState
from tests.support.clusters import free_port
from tests.support.servers import binary_of, wait_until_ready
from tests.support.shard_state import find_leaks, records
from tests.support.step_system import StepWorker, build_ticker, open_app


@pytest.fixture
def app(server_url, clock, database):
    return open_app(server_url, clock)


RAISED = {
    "os": OSError("disk"),
    "timeout": TimeoutError("slow"),
    "value": ValueError("bad"),
    "retry": Retry("please", after=5),
    "fail": Fail("no such customer"),
}


def state_after(app, database, kind, **lists):
    @app.task(retry=Delays((60.0,)), **lists)
    def work(kind: str) -> None:
        raise RAISED[kind]

    run = app.enqueue("work", {"kind": kind})
    StepWorker(database, app).work()
    return run.state()


@pytest.mark.parametrize(
    ("lists", "tried_again"),
    [
        ({}, {"os", "timeout", "value", "retry"}),
        ({"retry_on": (OSError,)}, {"os", "timeout", "retry"}),
        ({"retry_on": OSError}, {"os", "timeout", "retry"}),
        ({"no_retry_on": (ValueError,)}, {"os", "timeout", "retry"}),
        ({"retry_on": (OSError,), "no_retry_on": (TimeoutError,)}, {"os", "retry"}),
    ],
)
@pytest.mark.parametrize("kind", RAISED)
def test_the_lists_of_a_task_say_which_errors_are_tried_again(app, database, kind, lists, tried_again):
    expected = RunState.SCHEDULED if kind in tried_again else RunState.FAILED
    assert state_after(app, database, kind, **lists) is expected


@pytest.mark.parametrize("field", ["retry_on", "no_retry_on"])
@pytest.mark.parametrize("wrong", [("ValueError",), (ValueError("x"),), (int,), int])
def test_what_is_no_exception_class_is_refused(field, wrong):
    with pytest.raises(InvalidDefinition, match=rf"task 'work': {field} has .*, which is no exception class; write"):
        Jobistemer("fake://lists").task(name="work", **{field: wrong})(lambda: None)


def test_retries_end_when_the_next_would_begin_too_late(app, database, clock):
    attempts = []

    @app.task(retry=Exponential(max_retries=10, first_s=10, factor=1, jitter=0, max_elapsed_s=25))
    def work(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        raise OSError("again")

    run = app.enqueue("work")
    worker, clockwork = StepWorker(database, app), build_ticker(database)
    for _ in range(5):
        worker.work()
        clock.advance(10)
        clockwork.tick()
    assert attempts == [0, 1, 2]
    assert run.state() is RunState.DEAD
    assert find_leaks(database) == {}


@pytest.mark.parametrize("policy", [Exponential, Delays])
@pytest.mark.parametrize("wrong", [0, -1, float("nan")])
def test_a_limit_in_time_that_cannot_be_is_refused(policy, wrong):
    with pytest.raises(InvalidDefinition, match="retry policy: max_elapsed_s"):
        policy(max_elapsed_s=wrong)


def test_how_many_workers_may_die_of_a_run_is_an_option(app, database, clock):
    @app.task(max_crashes=1)
    def poison() -> None: ...

    run = app.enqueue("poison")
    alice = StepWorker(database, app, "alice")
    alice.beat()
    alice.fetch()
    clock.advance(60)
    bob = StepWorker(database, app, "bob")
    for _ in range(3):
        bob.beat()
    assert run.state() is RunState.DEAD
    assert set(records(database)["dead"]) == {run.id}


@pytest.mark.parametrize("wrong", [0, 101])
def test_a_limit_of_crashes_that_cannot_be_is_refused(wrong):
    with pytest.raises(InvalidDefinition, match="max_crashes is"):
        Options(max_crashes=wrong)


def test_a_retry_survives_the_end_of_the_server(tmp_path, clock):
    import subprocess

    port = free_port()
    command = [binary_of("valkey"), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path), "--save", ""]
    command += ["--appendonly", "yes", "--appendfsync", "always"]

    def started():
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        wait_until_ready(process.stdout)
        return process

    # Given a run that waits for its second attempt
    process = started()
    try:
        app = open_app(f"redis://127.0.0.1:{port}/0", clock)
        tried = []

        @app.task(retry=Delays((30.0,)))
        def work(ctx: Context) -> str:
            tried.append(ctx.attempt)
            if not ctx.attempt:
                raise OSError("not yet")
            return "done"

        run = app.enqueue("work")
        StepWorker(app.namespace.shards[0], app).work()
        assert run.state() is RunState.SCHEDULED

        # When the server is killed and comes back
        process.kill()
        process.communicate()
        process = started()
        clock.advance(31)
        database = open_app(f"redis://127.0.0.1:{port}/0", clock).namespace.shards[0]
        build_ticker(database).tick()
        StepWorker(database, app).work()

        # Then it is tried once more, and no more
        assert tried == [0, 1]
        assert run.result(timeout=0) == "done"
    finally:
        process.kill()
        process.communicate()


def test_the_effective_options_of_a_call_say_which_level_they_come_from():
    app = Jobistemer("fake://levels", defaults=Options(queue="etl", priority=1))

    @app.task(priority=2, max_crashes=9)
    def work() -> None: ...

    found = app.effective_options("work", timeout_s=7)
    assert found["queue"] == EffectiveOption("etl", "app")
    assert found["priority"] == EffectiveOption(2, "task")
    assert found["timeout_s"] == EffectiveOption(7, "call")
    assert found["max_crashes"] == EffectiveOption(9, "task")
    assert found["retention_s"].source == "default"
    assert app.effective_options("unknown")["queue"] == EffectiveOption("etl", "app")


def test_what_applies_in_an_occurrence_comes_from_app_job_and_task():
    app = Jobistemer("fake://levels", defaults=Options(queue="etl"))
    nightly = app.job("@daily", name="nightly", priority=3, failure="continue", history_s=3600)

    @nightly.task(timeout_s=5)
    def extract() -> None: ...

    @nightly.task(failure="fail_fast", retry=NO_RETRIES)
    def load() -> None: ...

    found = app.job_options("nightly")
    assert {name: found["extract"][name].source for name in ("queue", "priority", "timeout_s", "retry")} == {
        "queue": "app",
        "priority": "job",
        "timeout_s": "task",
        "retry": "default",
    }
    assert (found["extract"]["failure"], found["load"]["failure"]) == (
        *(EffectiveOption("continue", "job"), EffectiveOption("fail_fast", "task")),
    )
    assert found["load"]["retention_s"] == EffectiveOption(3600, "job: history_s")
