"""Occurrences of several tasks: which runs follow, which are skipped, which are cancelled, and how the whole ends."""

from __future__ import annotations

import pytest

from jobistemer.core.handlers.control_errors import Fail
from jobistemer.core.jobs.retries import NO_RETRIES
from tests.support.shard_state import find_leaks
from tests.support.step_system import StepWorker, build_ticker, read_occurrences, read_runs

SHAPES = {
    "sequential": {"a": (), "b": ("a",), "c": ("b",)},
    "parallel": {"a": (), "b": (), "c": ()},
    "diamond": {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")},
}


class Story:
    """A job with the tasks of a shape, one occurrence of it, and what its tasks have done."""

    def __init__(self, app, database, clock, shape, failing=(), **policies):
        self.app, self.database, self.order = app, database, []
        declaration = app.job("* * * * *", name="flow", retry=NO_RETRIES, **policies)
        for name, after in SHAPES[shape].items():
            declaration.task(self._task(name, name in failing), name=name, after=after)
        app.deploy()
        (self.job,) = app.jobs()
        clock.advance(60)
        build_ticker(database).tick()

    def _task(self, name, fails):
        def task() -> None:
            self.order.append(name)
            if fails:
                raise Fail(f"{name} cannot")

        return task

    @property
    def occurrence(self):
        (occurrence,) = read_occurrences(self.database, self.job)
        return occurrence

    def runs(self):
        return {name: run.state.value for name, run in read_runs(self.app, self.occurrence.id, self.job).items()}


@pytest.mark.parametrize(
    ("shape", "orders"),
    [
        ("sequential", [["a", "b", "c"]]),
        ("parallel", [["a", "b", "c"]]),
        ("diamond", [["a", "b", "c", "d"], ["a", "c", "b", "d"]]),
    ],
)
def test_tasks_run_after_what_they_wait_for_and_the_occurrence_is_completed(app, database, clock, shape, orders):
    story = Story(app, database, clock, shape)

    StepWorker(database, app).work()

    assert story.order in orders
    assert set(story.runs().values()) == {"succeeded"}
    assert (story.occurrence.state, story.occurrence.open) == ("completed", 0)
    assert find_leaks(database) == {}


@pytest.mark.parametrize(
    ("shape", "failing", "strategy", "expected"),
    [
        ("sequential", "a", "fail_fast", {"a": "failed", "b": "skipped", "c": "skipped"}),
        ("sequential", "b", "continue", {"a": "succeeded", "b": "failed", "c": "skipped"}),
        ("parallel", "b", "continue", {"a": "succeeded", "b": "failed", "c": "succeeded"}),
        ("diamond", "a", "continue", {"a": "failed", "b": "skipped", "c": "skipped", "d": "skipped"}),
        ("diamond", "b", "continue", {"a": "succeeded", "b": "failed", "c": "succeeded", "d": "skipped"}),
        ("diamond", "d", "fail_fast", {"a": "succeeded", "b": "succeeded", "c": "succeeded", "d": "failed"}),
    ],
)
def test_what_a_failed_task_does_to_the_others(app, database, clock, shape, failing, strategy, expected):
    story = Story(app, database, clock, shape, failing, failure=strategy)

    StepWorker(database, app).work()

    assert story.runs() == expected
    assert story.occurrence.state == "failed"
    assert story.occurrence.error == f"task {failing} failed: {failing} cannot"
    assert find_leaks(database) == {}


def test_fail_fast_cancels_what_waits_on_a_stream_and_what_runs(app, database, clock):
    # Given three tasks side by side: one that fails, one that runs at another worker, one that nobody has taken
    story = Story(app, database, clock, "parallel", failing="a", failure="fail_fast")
    fails, runs = StepWorker(database, app, "fails"), StepWorker(database, app, "runs")
    entries = {attempt.delivery.message.task_ref.task: attempt for attempt in fails.fetch()}
    other = entries["b"]
    fails.waiting.clear()
    fails.waiting.append(entries["a"])
    runs.waiting.append(other)
    runs.begin(other)

    # When the first has failed, and the other worker beats
    fails.execute()
    fails.commit()
    runs.beat()
    runs.commit()

    # Then what runs was stopped, and the one that waits in the first worker is not begun
    assert (story.runs()["a"], story.runs()["b"]) == ("failed", "canceled")
    fails.waiting.append(entries["c"])
    fails.beat()
    fails.execute()
    fails.commit()
    assert story.runs()["c"] == "canceled"
    assert story.order == ["a"]
    assert story.occurrence.state == "failed"
    assert find_leaks(database) == {}


def test_an_occurrence_of_a_removed_job_ends_although_its_definition_has_expired(app, database, clock):
    story = Story(app, database, clock, "parallel")
    worker = StepWorker(database, app)
    worker.fetch()
    app.control.remove("flow")
    database.client.delete(database.keys.versions(story.job.id))

    worker.execute()
    worker.commit()

    assert story.occurrence.state == "completed"
    assert find_leaks(database) == {}
