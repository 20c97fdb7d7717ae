"""A job that does not complete in time is told of once, and once more when it has recovered."""

import pytest

from jobistemer.core.alerts import Alert
from jobistemer.core.errors import InvalidDefinition, InvalidName
from jobistemer.ticker.alerts import raise_due_alerts
from tests.support.records import leaked, records
from tests.support.stories import job, register, take_one
from tests.support.worlds import StepWorker, app_on, ticker

MINUTE = 60


@pytest.fixture
def app(server_url, clock, database):
    app = app_on(server_url, clock)
    app.told, app.broken = [], False

    @app.task
    def notify(alert: Alert) -> None:
        app.told.append((alert.state, alert.text))

    @app.job("0 * * * *", expect_within_s=90 * MINUTE, alert="notify", retry=None)
    def sync() -> None:
        if app.broken:
            raise ValueError("no")

    app.deploy()
    return app


@pytest.fixture
def hours(app, database, clock):
    """`hours(n)`: so many hours go by with two tickers and a worker."""
    tickers = ticker(database, name="one"), ticker(database, name="other")
    worker = StepWorker(database, app)

    def go_by(count, work=True):
        for _ in range(count * 4):
            clock.advance(15 * MINUTE)
            for each in tickers:
                each.tick()
                raise_due_alerts(database)
            if work:
                worker.work()

    return go_by


def test_a_job_that_completes_in_time_is_not_told_of(app, hours, database):
    hours(5)
    assert app.told == []


def test_a_job_whose_worker_is_gone_is_told_of_once_and_once_when_it_recovers(app, hours, database):
    hours(1)
    hours(5, work=False)
    hours(3)
    assert app.told == [
        ("overdue", "job sync has not completed within 5400 s"),
        ("recovered", "job sync has completed again"),
    ]
    hours(3, work=False)
    hours(2)
    assert [state for state, _ in app.told] == ["overdue", "recovered"] * 2


def test_of_a_paused_job_nothing_is_expected_and_after_it_the_time_begins_anew(app, hours, clock):
    app.control.pause("sync")
    hours(5)
    app.control.resume("sync")
    assert app.told == []
    hours(2)
    assert app.told == []


def test_a_removed_job_is_forgotten(app, hours, database):
    app.control.remove("sync")
    hours(3)
    assert app.told == []
    assert "expected" not in records(database)


def test_an_address_is_told_by_the_built_in_http_task(database, clock):
    register(database, job(expect_within_s=600, alert="https://ops.example/hook"))
    clock.advance(601)
    assert raise_due_alerts(database) == 1
    message = take_one(database).message
    assert message.handler == "http"
    assert b'"method":"POST","url":"https://ops.example/hook","json":{"job":"report"' in bytes(message.payload)


@pytest.mark.parametrize("half", [{"expect_within_s": 60}, {"alert": "notify"}])
def test_half_of_it_is_refused(half):
    with pytest.raises(InvalidDefinition, match="they go together: say within how many seconds the job has to complete"):
        job(**half)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"expect_within_s": 0.5, "alert": "notify"}, "expect_within_s is 0.5"),
        ({"pause_on_failure": -1}, "pause_on_failure is -1, allowed is 0–1000"),
        ({"history_count": 0}, "history_count is 0"),
    ],
)
def test_a_policy_out_of_range_is_refused_with_what_is_allowed(wrong, said):
    with pytest.raises(InvalidDefinition, match=said):
        job(**wrong)


def test_a_target_that_is_neither_an_address_nor_a_name_is_refused():
    with pytest.raises(InvalidName):
        job(expect_within_s=60, alert="ftp://x y")


def test_nothing_is_left_behind(app, hours, database):
    hours(2)
    assert leaked(database) == {}
