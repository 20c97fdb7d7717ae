"""A task of an app is put on schedules at run time, under any number of names, and everything is checked before it is written."""

from __future__ import annotations

import pytest

from jobistemer import Cron, Delays, Jobistemer
from jobistemer.core.errors import (
    InvalidDefinition,
    InvalidInput,
    InvalidName,
    InvalidPayload,
    InvalidSchedule,
    JobistemerError,
    UnknownTask,
)
from jobistemer.core.settings import WorkerSettings
from tests.support.step_system import StepWorker, build_ticker, open_app

DAILY = Cron("0 3 * * *")


@pytest.fixture
def app(server_url, database, clock):
    app = open_app(server_url, clock)

    @app.task(queue="reports", timeout_s=30)
    def report(tenant: int, mail: str = "") -> str:
        return f"{tenant} {mail}"

    return app


def test_one_task_is_put_on_schedules_under_different_names_and_runs_with_its_arguments(app, database, clock):
    for tenant in (7, 8):
        put = app.control.put(f"tenant-{tenant}", task="report", schedule="* * * * *", payload={"tenant": tenant})
        assert put == (f"tenant-{tenant}", "CREATED", 1)
    assert app.jobs() == []
    clock.advance(60)
    build_ticker(database).tick()
    StepWorker(database, app, settings=WorkerSettings(queues={"reports": 1})).work()
    states = [each.last.state for each in app.control.list("tenant-").jobs]
    assert states == ["completed", "completed"]


def test_the_options_of_the_task_hold_unless_the_job_has_its_own(app):
    app.control.put("a", task="report", schedule=DAILY, payload={"tenant": 1}, timeout_s=5, overlap="queue")
    job = app.control.find("a").job
    (task,) = job.tasks
    assert (task.options.queue, task.options.timeout_s, job.overlap) == ("reports", 5, "queue")
    assert task.origin == {"queue": "task", "timeout_s": "job"}


def test_the_last_word_holds_also_back_to_an_earlier_schedule(app):
    words = [
        app.control.put("a", task="report", schedule=each, payload={"tenant": 1})[1:]
        for each in ("0 3 * * *", "0 4 * * *", "0 3 * * *", "0 3 * * *")
    ]
    assert words == [("CREATED", 1), ("CHANGED", 2), ("CHANGED", 3), ("UNCHANGED", 3)]


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        ({"task": "reprot"}, UnknownTask, "no task 'reprot'; did you mean 'report'"),
        ({"task": 5}, UnknownTask, "task is 5"),
        ({"payload": {}}, InvalidPayload, "tenant"),
        ({"payload": {"tenant": "seven"}}, InvalidPayload, r"\$\.tenant"),
        ({"payload": 5}, InvalidPayload, "payload is 5"),
        ({"schedule": "every day"}, InvalidSchedule, "every day"),
        ({"schedule": None}, InvalidSchedule, "None"),
        ({"name": "a b"}, InvalidName, "a b"),
        ({"update": "wait"}, InvalidDefinition, "update"),
        ({"mode": "parallel"}, InvalidDefinition, "put takes no mode"),
        ({"colour": "red"}, InvalidDefinition, "colour"),
        ({"timeout_s": -1}, InvalidDefinition, "timeout_s"),
    ],
)
def test_what_does_not_fit_is_refused_by_name_and_nothing_is_written(app, said, error, words):
    call = {"name": "a", "task": "report", "schedule": DAILY, "payload": {"tenant": 1}, **said}
    with pytest.raises(error, match=words):
        app.control.put(**call)
    assert app.control.list().total == 0


def test_a_task_of_another_app_is_refused(app):
    other = Jobistemer("fake://other")

    @other.task
    def report(tenant: int) -> None: ...

    with pytest.raises(UnknownTask, match="belongs to another app"):
        app.control.put("a", task=report, schedule=DAILY, payload={"tenant": 1})


def test_jobs_are_listed_by_prefix_page_by_page_in_the_order_of_their_names(app):
    for name in ("tenant-3", "other", "tenant-1", "tenant-2", "tenant-10"):
        app.control.put(name, task="report", schedule=DAILY, payload={"tenant": 1})
    pages, after = [], ""
    while not pages or after:
        page = app.control.list("tenant-", limit=3, after=after)
        pages.append([each.name for each in page.jobs])
        after = page.next
        assert page.total == 4
    assert pages == [["tenant-1", "tenant-10", "tenant-2"], ["tenant-3"]]
    assert [each.name for each in app.control.list().jobs][0] == "other"
    assert app.control.list("nobody").jobs == ()


@pytest.mark.parametrize("said", [{"prefix": None}, {"limit": 0}, {"limit": "5"}, {"after": 5}])
def test_a_page_that_is_not_possible_is_refused(app, said):
    with pytest.raises(InvalidInput):
        app.control.list(**said)


def test_jobs_are_removed_by_prefix_and_an_empty_prefix_is_refused(app):
    for name in ("tenant-1", "tenant-2", "other"):
        app.control.put(name, task="report", schedule=DAILY, payload={"tenant": 1})
    assert app.control.remove_all("tenant-") == 2
    assert [each.name for each in app.control.list().jobs] == ["other"]
    assert app.control.remove_all("tenant-") == 0
    with pytest.raises(InvalidInput, match="prefix is ''"):
        app.control.remove_all("")


@pytest.mark.slow
@pytest.mark.thinned(2)
def test_five_thousand_customers_have_schedules_of_their_own(app):
    for tenant in range(5_000):
        app.control.put(
            f"tenant-{tenant:04}", task="report", schedule=f"{tenant % 60} 3 * * *", payload={"tenant": tenant}
        )
    page = app.control.list("tenant-", limit=10, after="tenant-4993")
    assert (page.total, [each.name for each in page.jobs][0], len(page.jobs), page.next) == (
        5_000,
        "tenant-4994",
        6,
        "",
    )
    assert app.control.remove_all("tenant-4") == 1_000
    assert app.control.list("tenant-").total == 4_000


def test_a_job_whose_time_is_over_says_that_it_will_never_run(app, caplog):
    app.control.put("late", task="report", schedule="2020-01-01T00:00:00Z", payload={"tenant": 1})
    assert "job 'late' will never run" in caplog.text
    caplog.clear()
    app.control.put("soon", task="report", schedule="2099-01-01T00:00:00Z", payload={"tenant": 1})
    assert caplog.text == ""


def test_a_declaration_that_fails_leaves_no_trace(app):
    def needs(n: int) -> None: ...

    with pytest.raises(InvalidDefinition, match="gets no arguments"):
        app.job("* * * * *", name="needs")(needs)
    assert app.jobs() == []
    assert "needs" not in app.handlers
    with pytest.raises(JobistemerError):
        app.job("* * * * *", name="needs", grace_s=-1)(lambda: None)
    assert (app.jobs(), "needs" in app.handlers) == ([], False)
    several = app.job("* * * * *", name="several", retry=Delays())
    with pytest.raises(InvalidDefinition):
        several.task(needs, name="one")
    several.task(lambda: None, name="one")
    assert [task.name for task in app.jobs()[0].tasks] == ["one"]
