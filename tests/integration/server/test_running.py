"""Ticker and worker inside of a process of the application, and what its own probe is told."""

from __future__ import annotations

import asyncio
import signal
import threading

import pytest

from jobistemer import Jobistemer, Misconfigured
from jobistemer.core.settings import WorkerSettings
from tests.support.servers import VALKEY, empty_server, running


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with running(VALKEY, tmp_path_factory.mktemp("valkey")) as found:
        yield found


@pytest.fixture
def app(url):
    empty_server(url)
    with Jobistemer(url, namespace="test") as opened:

        @opened.task(queue="mail")
        def double(number: int) -> int:
            return 2 * number

        yield opened


def test_a_process_runs_ticker_and_worker_of_its_own_without_touching_signals(app):
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGTSTP)]
    with app.running(ticker=True, worker=2):
        assert app.enqueue("double", {"number": 4}, queue="mail").result(timeout=60) == 8
        assert app.enqueue("double", {"number": 5}, queue="mail", delay=0.1).result(timeout=60) == 10
        assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGTSTP)] == before
    names = [each.name for each in threading.enumerate()]
    assert "worker" not in names
    assert "ticker" not in names
    assert app.health().workers == 0


def test_the_same_holds_for_an_event_loop(app):
    async def story() -> int:
        async with app, app.running(ticker=True, worker=WorkerSettings(queues={"mail": 0}, grace_s=5)):
            run = await app.enqueue_async("double", {"number": 4}, queue="mail")
            return await run.result_async(timeout=60)

    assert asyncio.run(story()) == 8


def test_a_wrong_number_of_slots_is_refused_before_anything_starts(app):
    for wrong in (-1, 1001, "8", True):
        with pytest.raises(Misconfigured), app.running(ticker=True, worker=wrong):
            pass
    assert app.health().tickers == 0


def test_health_names_what_is_missing(app):
    found = app.health()
    assert (found.connected, found.ok, found.unserved) == (True, False, ("default", "mail"))
    assert found.version
    assert [each.split(":")[0] for each in found.problems] == [
        "no ticker is there", "no worker serves queue default", "no worker serves queue mail",
    ]  # fmt: skip


def test_health_is_fine_when_everybody_is_there(app):
    with app.running(ticker=True, worker=2):
        assert app.enqueue("double", {"number": 1}, queue="mail", delay=0.05).result(timeout=60) == 2
        assert app.health() == asyncio.run(app.health_async())
        assert app.health().ok


def test_health_of_a_server_that_is_away_is_an_answer_and_no_error():
    found = Jobistemer("redis://127.0.0.1:1/0").health(timeout=0.5)
    assert (found.connected, found.ok) == (False, False)
    assert "redis://127.0.0.1:1/0" in found.problems[0]
