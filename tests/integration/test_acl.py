"""Each role on a real server with the rights that `jobistemer acl` prints: enough for all it does, and for no more."""

from __future__ import annotations

import time

import pytest
import redis

from jobistemer import Context, Jobistemer, Limit
from jobistemer.app import DeadLetters, JobControl
from jobistemer.app.auditing import audit_jobs
from jobistemer.app.cancelling import cancel_run
from jobistemer.core.errors import InvalidInput, ServerRefused
from jobistemer.core.retries import NO_RETRIES
from jobistemer.core.settings import TickerSettings
from jobistemer.runtime.repeating import start_thread
from jobistemer.runtime.stopping import Stopping
from jobistemer.store import acl, census, listings
from jobistemer.store.connection import connect
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys
from jobistemer.store.namespace import Namespace
from jobistemer.ticker import Ticker
from tests.support.apps import working
from tests.support.roles import admit
from tests.support.servers import FAKE, available, running
from tests.support.stories import take
from tests.support.worker_processes import until


@pytest.fixture(scope="module", params=[kind for kind in available() if kind != FAKE])
def server(request, tmp_path_factory):
    with running(request.param, tmp_path_factory.mktemp("acl")) as url:
        yield url


@pytest.fixture
def admin(server):
    client = connect(server)
    client.flushall()
    client.execute_command("ACL", "LOG", "RESET")
    yield client
    client.close()


@pytest.fixture
def url(server, admin):
    """`url("worker")` is what a worker connects to."""
    return lambda *roles: admit(admin, server, "test", *roles)


def shop(url: str) -> Jobistemer:
    app = Jobistemer(url, namespace="test")

    @app.task(retry=NO_RETRIES)
    def fail() -> None:
        raise ValueError("no")

    @app.task(limits=[Limit(1)])
    def limited(context: Context) -> int:
        with context.transaction() as then:
            then.hset("seen", "last", "1")
        return 1

    @app.task
    async def again(context: Context) -> int:
        if not context.attempt:
            raise OSError("not yet")
        return context.attempt

    @app.job("* * * * * *", name="every_second", overlap="queue")
    def every_second() -> None: ...

    return app


def denied(admin: redis.Redis) -> list[str]:
    """What the server has refused its users."""
    return [
        f"{entry[b'username'].decode()}: {entry[b'reason'].decode()} {entry[b'object'].decode()}"
        for entry in (dict(zip(each[::2], each[1::2], strict=True)) for each in admin.execute_command("ACL", "LOG"))
    ]


def test_every_role_can_do_all_its_work_and_is_never_refused(url, admin):
    # Given a user for each role, a ticker and a worker at work, and jobs that the operator has deployed
    shop(url("operator")).deploy()
    producer, stopping = shop(url("producer")), Stopping()
    ticker = Ticker(Namespace(url("ticker"), "test"), TickerSettings(pass_s=0.5))
    thread = start_thread(lambda: ticker.run(stopping), "ticker")
    with working(shop(url("worker"))):
        # When work is enqueued, fails, is retried and replayed, while jobs are due
        assert producer.enqueue("limited", {}).result(timeout=10) == 1
        assert producer.enqueue("again", {}, delay=0.01).result(timeout=20) == 1
        broken = producer.enqueue("fail", {})
        operator = Namespace(url("operator"), "test")
        until(lambda: DeadLetters(operator).list(), "the run is dead")
        assert DeadLetters(operator).replay(broken.id)
        later = producer.enqueue("limited", {}, delay=3600)
        assert cancel_run(operator, later.id) == "canceled"
        viewer = Namespace(url("viewer"), "test")
        history = lambda: listings.list_history(viewer.shards[0], JobControl(viewer).get("every_second").job.id)  # noqa: E731
        until(lambda: sum(each.state == "completed" for each in history()) > 1, "the job has run twice")
        JobControl(operator).pause("every_second")
        # Then the viewer sees all that, and nothing is unaccounted for
        assert {each.name for each in census.list_queues(viewer.shards)} == {"default"}
        assert len(census.list_workers(viewer.shards)) == len(census.list_tickers(viewer.shards)) == 1
        assert [each.findings for each in audit_jobs(viewer, "every_second", None, None)] == [[]]
    stopping.request()
    thread.join(10)
    assert denied(admin) == []
