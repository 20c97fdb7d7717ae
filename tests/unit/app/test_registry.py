"""Jobs declared in words, and what a task asks of its worker."""

from datetime import timedelta

import pytest

from jobistemer import Context, Cron, Interval, Jobistemer, Once
from jobistemer.core.errors import InvalidDefinition


@pytest.fixture
def app():
    return Jobistemer("fake://registry")


def tidy(days: int = 7) -> int:
    return days


def test_a_job_in_words_is_the_job_of_its_schedule(app):
    app.every(5).minutes.do(tidy, name="often", overlap="queue", queue="low")
    app.every(timezone="Europe/Berlin").monday.at("09:00").do(tidy, name="mondays", payload={"days": 2})
    app.at("2030-01-01T00:00:00Z").do(tidy)
    often, mondays, once = app.jobs()
    assert (often.schedule, often.overlap) == (Interval("PT5M"), "queue")
    assert mondays.schedule == Cron("0 9 * * MON", timezone="Europe/Berlin")
    assert (once.name, once.schedule) == ("tidy", Once("2030-01-01T00:00:00Z"))
    assert bytes(mondays.tasks[0].payload) == b'{"days":2}'
    assert app.job_options("often")["often"]["queue"].value == "low"


def test_a_job_in_words_gives_a_task_that_can_be_called(app):
    assert app.every().day.at("14:30").do(tidy)(3) == 3


def test_a_task_is_no_function_for_a_job_to_declare(app):
    task = app.task(tidy)
    with pytest.raises(InvalidDefinition, match="made of task 'tidy', which is declared already"):
        app.job(timedelta(minutes=5), name="often")(task)


@pytest.mark.parametrize("annotation", [Context, Context | None, "Context", "Context | None"])
def test_a_context_is_any_parameter_that_is_annotated_so(app, annotation):
    def asks(to: str, ctx=None, copies: int = 1) -> str:
        return f"{to} {ctx.run} {copies}"

    asks.__annotations__["ctx"] = annotation
    task = app.task(asks)
    assert task.handler.context_parameter == "ctx"
    assert task("ann", copies=2) == "ann run_0 2"
    assert bytes(task.request("ann").payload) == b'{"to":"ann"}'


def test_a_function_of_a_job_that_nobody_could_call_is_refused_where_it_is_declared():
    app = Jobistemer("fake://registry")
    with pytest.raises(
        InvalidDefinition, match=r"task 'send' of job 'send' gets no arguments.*missing required field `to`"
    ):

        @app.job("0 2 * * *")
        def send(to: str) -> None: ...

    nightly = app.job("0 2 * * *", name="nightly")

    @nightly.task
    def extract() -> int:
        return 1

    @nightly.task(after=[extract])
    def load(ctx: Context, extract: int, again: bool = False) -> None: ...

    with pytest.raises(InvalidDefinition, match="task 'nightly.mail' of job 'nightly' gets no arguments"):

        @nightly.task
        def mail(to: str) -> None: ...

    assert [task.name for task in nightly.build().tasks] == ["extract", "load"]


def test_tasks_and_runs_say_in_a_shell_which_ones_they_are():
    app = Jobistemer("fake://shown")

    @app.task
    def send() -> None: ...

    run = send.options(unique="ada").enqueue()
    again = send.options(unique="ada").enqueue()
    assert [repr(send), repr(run), repr(again)] == [
        "<task send>",
        f"<run {run.id}>",
        f"<run {run.id}, which was there already>",
    ]


def test_a_job_names_the_exceptions_of_its_tasks(app):
    @app.job("0 2 * * *", name="nightly", retry_on=(ConnectionError,), retry=3)
    def nightly() -> None: ...

    graph = app.job("0 3 * * *", name="graph", no_retry_on=(ValueError,))

    @graph.task
    def first() -> None: ...

    assert not app.handlers["nightly"].retry_filter.is_final(ConnectionError())
    assert app.handlers["nightly"].retry_filter.is_final(KeyError())
    assert app.handlers["graph.first"].retry_filter.is_final(ValueError())
