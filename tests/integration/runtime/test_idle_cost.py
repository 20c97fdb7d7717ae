"""The commands that an idle worker and an idle ticker send, as the server counts them."""

from __future__ import annotations

from collections import Counter

import pytest
import redis

from jobistemer.app import Jobistemer
from jobistemer.core.settings import TickerSettings, WorkerSettings
from jobistemer.runtime.repeat import start_thread
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.ticker import Ticker
from jobistemer.worker import Worker
from tests.support.servers import VALKEY, running

SECONDS = 6.0
PER_SECOND = 2.0


@pytest.fixture
def url(tmp_path):
    with running(VALKEY, tmp_path) as url:
        yield url


def commands_of(url: str, role) -> Counter[str]:
    """The commands that a role sends in some seconds by the server's clock, once it has started."""
    shutdown = Shutdown()
    seen: Counter[str] = Counter()
    with redis.Redis.from_url(url).monitor() as monitor:
        thread = start_thread(lambda: role.run(shutdown), "role")
        first = None
        for command in monitor.listen():
            # What a script does is not sent, and costs no round trip.
            if command["client_type"] == "lua":
                continue
            # Two seconds for everything that happens once: connections, scripts, the first look.
            first = first or command["time"] + 2.0
            if command["time"] >= first + SECONDS:
                break
            if command["time"] >= first:
                seen[command["command"].split()[0]] += 1
    shutdown.request()
    thread.join(60)
    assert not thread.is_alive()
    return seen


def test_an_idle_worker_sends_at_most_two_commands_a_second(url):
    app = Jobistemer(url)
    app.task(_unused)

    seen = commands_of(url, Worker(app.namespace, app.handlers, WorkerSettings()))

    assert seen.total() <= PER_SECOND * SECONDS, seen


def test_an_idle_ticker_sends_at_most_two_commands_a_second_however_many_jobs_there_are(url):
    app = Jobistemer(url)
    for number in range(300):
        app.job("0 0 1 1 *", name=f"yearly_{number}")(_unused)
    app.deploy()

    seen = commands_of(url, Ticker(app.namespace, TickerSettings()))

    assert seen.total() <= PER_SECOND * SECONDS, seen


def _unused() -> None: ...
