"""A job that does not complete in time raises one alert, and another one when it has recovered."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue

import pytest

from jobistemer.contrib import http
from jobistemer.core import ids
from jobistemer.core.builtin_tasks import Permissions
from jobistemer.core.errors import InvalidDefinition, InvalidName
from jobistemer.core.jobs.alert import Alert
from tests.support.apps import empty_app, running_ticker, running_worker
from tests.support.lifecycle import job
from tests.support.shard_state import find_leaks, records
from tests.support.step_system import StepWorker, build_ticker, open_app

MINUTE = 60


@pytest.fixture
def app(server_url, clock, database):
    app = open_app(server_url, clock)
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
    tickers = build_ticker(database, name="one"), build_ticker(database, name="other")
    worker = StepWorker(database, app)

    def go_by(count, work=True):
        for _ in range(count * 4):
            clock.advance(15 * MINUTE)
            for each in tickers:
                each.tick()
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


class Pager(ThreadingHTTPServer):
    """Receives what is posted to it."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Received)
        self.posted = Queue()
        self.url = f"http://127.0.0.1:{self.server_port}/hook"


class Received(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.put((self.path, json.loads(body)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_): ...


@pytest.fixture
def pager():
    server = Pager()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_webhook_hears_once_of_the_failure_and_once_of_the_recovery(server_url, pager):
    app, broken = empty_app(server_url), threading.Event()
    http.install(app)
    broken.set()

    @app.job("* * * * * *", expect_within_s=1.8, alert=pager.url, retry=None)
    def sync() -> None:
        if broken.is_set():
            raise ValueError("no")

    app.deploy()
    with running_ticker(app), running_worker(app, permissions=Permissions(http_private=True)):
        path, told = pager.posted.get(timeout=60)
        assert (path, told["job"], told["state"]) == ("/hook", "sync", "overdue")
        assert told["text"] == "job sync has not completed within 1.8 s"
        broken.clear()
        _, told = pager.posted.get(timeout=60)
        assert (told["state"], told["text"]) == ("recovered", "job sync has completed again")
        app.control.pause("sync")
    assert pager.posted.empty()


def test_a_job_that_cannot_be_read_is_put_off_and_holds_up_no_other(app, database, clock):
    database.client.hset(database.keys.job(ids.job_id("sync")), "definition", "{}")
    clock.advance(91 * MINUTE)
    one = build_ticker(database)
    one.poll(full=False)
    one.process_due()
    assert records(database)["expected"] == {ids.job_id("sync"): clock.now_ms() + 30_000}


@pytest.mark.parametrize("half", [{"expect_within_s": 60}, {"alert": "notify"}])
def test_half_of_it_is_refused(half):
    with pytest.raises(
        InvalidDefinition, match="they go together: say within how many seconds the job has to complete"
    ):
        job(**half)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"expect_within_s": 0.5, "alert": "notify"}, "expect_within_s is 0.5"),
        ({"pause_on_failure": -1}, "pause_on_failure is -1, allowed are whole numbers from 0 to 1000"),
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
    assert find_leaks(database) == {}
