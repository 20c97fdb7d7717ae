"""Where a task may run, and what is refused with which words."""

import pytest

from jobistemer import Jobistemer, Options
from jobistemer.core.errors import InvalidDefinition, InvalidInput, Misconfigured
from jobistemer.core.settings import WorkerSettings
from jobistemer.worker import Worker
from jobistemer.worker.execute.default_reducer import DEFAULT_REDUCER


@pytest.fixture
def app() -> Jobistemer:
    return Jobistemer("fake://executors", defaults=Options(executor="process"))


def test_the_executor_cascades_from_the_app_to_the_task(app):
    @app.task
    def apart() -> None: ...

    @app.task(executor="auto")
    def inside() -> None: ...

    assert {name: handler.executor for name, handler in app.handlers.items()} == {"apart": "process", "inside": "auto"}
    assert DEFAULT_REDUCER.executor == "auto"


def test_an_unknown_executor_is_refused_with_those_there_are():
    with pytest.raises(InvalidDefinition, match="executor is 'thread', allowed are auto and process"):
        Options(executor="thread")


def test_the_executor_of_one_call_is_refused(app):
    with pytest.raises(
        InvalidInput, match="executor='process' was given for one call of task 'x': it belongs to the task"
    ):
        app.enqueue("x", executor="process")


def test_a_worker_that_does_not_know_what_to_import_is_refused(app):
    @app.task
    def apart() -> None: ...

    with pytest.raises(Misconfigured, match="task 'apart' has executor='process'.*jobistemer-worker MODULE:APP"):
        Worker(app.namespace, app.handlers, WorkerSettings())


def test_functions_that_yield_are_refused(app):
    def numbers():
        yield 1

    async def more_numbers():
        yield 1

    for function in (numbers, more_numbers):
        with pytest.raises(
            InvalidDefinition, match=f"task '{function.__name__}' yields, so calling it would run nothing"
        ):
            app.task(function)


def test_a_time_out_of_an_occurrence_below_a_second_is_refused(app):
    with pytest.raises(InvalidDefinition, match="job 'nightly': occurrence_timeout_s is 0.5, allowed is 1"):
        app.job("0 2 * * *", name="nightly", occurrence_timeout_s=0.5)
    assert app.jobs() == []
