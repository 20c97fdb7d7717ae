"""Results of upstream tasks by parameter, and what cannot be given."""

from __future__ import annotations

import msgspec
import pytest

from jobistemer.app import Jobistemer
from jobistemer.control.dead_letters import DeadLetters
from jobistemer.core.errors import InvalidDefinition, InvalidPayload, UnknownJob, UnknownOccurrence
from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.core.runs.report import Report
from jobistemer.core.runs.results import Results
from tests.support.shard_state import find_leaks
from tests.support.step_system import StepWorker, open_app, read_runs


class Order(msgspec.Struct):
    number: int


@pytest.fixture
def app(server_url, clock, database):
    return open_app(server_url, clock)


def run_job(app, database, name="nightly"):
    app.deploy()
    occurrence, _ = app.control.trigger(name)
    StepWorker(database, app).work()
    return occurrence, read_runs(app, occurrence, app.control.find(name).job)


def test_results_are_typed_by_the_parameter_and_may_come_from_far_upstream(app, database):
    seen = []
    nightly = app.job("0 0 1 1 *", name="nightly", mode="sequential")

    @nightly.task
    def first() -> list[Order]:
        return [Order(7)]

    @nightly.task
    def second() -> None: ...

    @nightly.task(payload={"times": 2})
    def third(times: int, first: list[Order], second: None) -> int:
        seen.append((first, second))
        return first[0].number * times

    _, runs = run_job(app, database)
    assert seen == [([Order(7)], None)]
    assert bytes(runs["third"].result) == b"14"
    assert find_leaks(database) == {}


def test_a_result_of_another_type_ends_the_task_and_says_which(app, database):
    nightly = app.job("0 0 1 1 *", name="nightly", retry=NO_RETRIES)

    @nightly.task
    def extract():
        return "text"

    @nightly.task(after=[extract])
    def load(extract: int) -> None: ...

    _, runs = run_job(app, database)
    assert runs["load"].state == "dead"
    assert runs["load"].error.startswith(
        "the result of upstream task 'extract' does not fit its parameter: Expected `int`"
    )


def test_a_task_replayed_from_the_dead_letters_gets_its_upstream_results_again(app, database):
    broken = [True]
    nightly = app.job("0 0 1 1 *", name="nightly", retry=NO_RETRIES)

    @nightly.task
    def extract() -> int:
        return 5

    @nightly.task(after=[extract])
    def load(extract: int) -> int:
        if broken:
            raise OSError("not now")
        return extract

    _, runs = run_job(app, database)
    broken.clear()
    again = DeadLetters(app.namespace).replay(runs["load"].id)
    StepWorker(database, app).work()
    assert app.run(again).result(timeout=0) == 5


def test_by_itself_a_task_with_upstream_results_is_refused_at_the_worker(app, database):
    nightly = app.job("0 0 1 1 *", name="nightly")

    @nightly.task
    def extract() -> int:
        return 5

    @nightly.task(after=[extract])
    def load(extract: int) -> None: ...

    run = app.enqueue("nightly.load")
    StepWorker(database, app).work()
    assert (
        "parameter 'extract' is the result of an upstream task, and this run belongs to no occurrence"
        in run.record().error
    )


def test_a_reducer_that_was_not_mapped_for_is_refused(app, database):
    @app.task
    def total(results: Results[int]) -> None: ...

    run = app.enqueue("total")
    StepWorker(database, app).work()
    assert "this run is the reducer of no group; name it in ctx.map(…, reduce=…)" in run.record().error


def test_a_report_of_nothing_is_refused(app, database):
    @app.task
    def done(report: Report) -> None: ...

    run = app.enqueue("done")
    StepWorker(database, app).work()
    assert "no report: occurrence (none in the metadata) is not on record" in run.record().error


def test_callers_cannot_give_what_is_the_workers_to_give():
    app = Jobistemer("fake://given")
    nightly = app.job("0 0 1 1 *", name="nightly")

    @nightly.task
    def extract() -> int:
        return 5

    with pytest.raises(InvalidPayload, match="takes no arguments, the payload has some"):

        @nightly.task(after=[extract], payload={"extract": 1})
        def load(extract: int) -> None: ...


def test_a_parameter_that_no_result_can_be_read_as_is_refused():
    app = Jobistemer("fake://given")
    nightly = app.job("0 0 1 1 *", name="nightly")

    @nightly.task
    def extract() -> int:
        return 5

    with pytest.raises(InvalidDefinition, match=r"parameter 'extract' cannot be read from the JSON of a result"):

        @nightly.task(after=[extract])
        def load(extract: dict[float | complex, int] | set[int] | list[str]) -> None: ...


def test_a_parameter_that_can_never_hold_the_result_of_its_task_is_refused_and_leaves_no_trace():
    app = Jobistemer("fake://given")
    nightly = app.job("0 0 1 1 *", name="nightly")

    @nightly.task
    def extract() -> list[str]:
        return []

    @nightly.task(after=[extract])
    def count(extract: list[str]) -> int:
        return len(extract)

    said = (
        r"task 'nightly.load': parameter 'extract' is annotated dict\[str, int\], and task 'nightly.extract', whose result "
        r"it gets, returns list\[str\]"
    )
    with pytest.raises(InvalidDefinition, match=said):

        @nightly.task(after=[count])
        def load(extract: dict[str, int], count: float) -> None: ...

    assert [task.name for task in app.jobs()[0].tasks] == ["extract", "count"]
    assert "nightly.load" not in app.handlers


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (
            lambda job: job.task(failure="never")(lambda: None),
            "failure is 'never', allowed are fail_fast, continue, retry_on",
        ),
        (lambda job: job.task(prio=1)(lambda: None), "a task has no option prio; did you mean priority?"),
        (lambda job: (job.on_complete(print_it), job.on_complete(print_it)), "has two functions for on_complete"),
    ],
)
def test_what_cannot_be_declared_is_refused_and_says_why(declare, says):
    with pytest.raises(InvalidDefinition, match=says):
        declare(Jobistemer("fake://declare").job("@daily", name="nightly"))


def print_it() -> None: ...


def test_a_job_needs_a_name_before_its_on_complete():
    with pytest.raises(InvalidDefinition, match="name the job before its on_complete"):
        Jobistemer("fake://declare").job("@daily").on_complete(print_it)


def test_what_is_not_there_is_named(app):
    with pytest.raises(UnknownOccurrence, match="occ_1 is not on record"):
        app.report("occ_1")
    with pytest.raises(UnknownJob, match="no job 'x' is declared on this app"):
        app.job_options("x")
