"""A deployment whose connection breaks: it says what it knows, and a second one completes it."""

import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from jobistemer import Jobistemer, NotConnected, ServerRefused
from jobistemer.control.deploy import apply_deploy, plan_deploy
from jobistemer.core.jobs.job import Job, Task
from jobistemer.core.schedules import Cron, Interval
from jobistemer.store.actions import update_jobs
from jobistemer.store.database import Database
from tests.chaos.campaign.proxy import CuttingProxy
from tests.support.servers import VALKEY, running

OWNER = "shop:app"
DECLARED = [
    Job(f"job-{number}", Interval("PT90S") if number % 7 == 0 else Cron("* * * * *"), (Task("only", "work"),))
    for number in range(250)
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(VALKEY, tmp_path_factory.mktemp("valkey")) as found:
        yield found


@pytest.fixture
def app(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobistemer]:
    """An app of the server itself; deployments of the test send 20 jobs in a call."""
    monkeypatch.setattr(update_jobs, "BATCH", 20)
    with Jobistemer(url, namespace="test") as opened:
        opened.namespace.shards[0].client.flushall()
        yield opened


@contextmanager
def deploying(url: str) -> Iterator[tuple[Jobistemer, CuttingProxy]]:
    """An app that is connected through a proxy, which cuts each reply while it cuts."""
    proxy = CuttingProxy(urlsplit(url).port, seed=1, one_in=1)
    with Jobistemer(f"redis://127.0.0.1:{proxy.port}/0", namespace="test") as app:
        yield app, proxy
    proxy.end()


@contextmanager
def after_calls(database: Database, count: int, then) -> Iterator[None]:
    """When so many bundles have been registered, something happens."""
    original, numbers = database.call_all, itertools.count()

    def call_all(calls):
        if next(numbers) == count:
            then()
        return original(calls)

    database.call_all = call_all
    yield
    del database.call_all


def deploy(app: Jobistemer) -> Counter[str]:
    plan = plan_deploy(app.namespace, DECLARED, OWNER)
    return Counter(each.word for each in apply_deploy(app.control, plan, DECLARED))


def registered_once(app: Jobistemer) -> int:
    """How many of the jobs are registered; each of them once, with one line in its audit list and a due mark."""
    shard = app.namespace.shards[0]
    found = [each for each in DECLARED if shard.ask("EXISTS", shard.keys.job(each.id))]
    assert {shard.ask("HGET", shard.keys.job(each.id), "version") for each in found} <= {b"1"}
    assert {shard.ask("LLEN", shard.keys.audit(each.id)) for each in found} <= {1}
    assert shard.ask("ZCARD", shard.keys.due) == len(found)
    return len(found)


def test_a_deployment_whose_connection_is_gone_says_what_it_knows_and_a_second_one_completes_it(app, url):
    # Given a connection that breaks for good in the middle, after the server has executed what it was sent
    with deploying(url) as (behind, proxy), after_calls(behind.namespace.shards[0], 5, proxy.cutting.set):
        with pytest.raises(NotConnected, match="of 250 jobs are registered, of the others this is not known") as lost:
            deploy(behind)
        assert proxy.cuts
    known = int(str(lost.value).partition(" of 250 jobs")[0].rpartition(" ")[2])

    # Then what is said is not more than what is there, and nothing was registered twice. How much that is depends on how
    # far the server was when the connection broke.
    there = registered_once(app)
    assert known <= there <= 250

    # When it is deployed again
    words = deploy(app)
    assert (words["CREATED"], words.total()) == (250 - there, 250)
    assert registered_once(app) == 250
    assert [app.control.find(each.name).owner for each in DECLARED] == [OWNER] * 250


def test_a_connection_that_breaks_once_is_replaced_and_nothing_is_registered_twice(app, url):
    with deploying(url) as (behind, proxy), after_calls(behind.namespace.shards[0], 5, proxy.cutting.set):
        cut, proxy._chance = proxy._chance, _OneCut(proxy)
        assert deploy(behind).total() == 250
        proxy._chance = cut
        assert proxy.cuts == 1
    assert registered_once(app) == 250
    assert deploy(app) == {"UNCHANGED": 250}


class _OneCut:
    """Cuts the first reply there is, and ends the cutting."""

    def __init__(self, proxy: CuttingProxy) -> None:
        self._proxy = proxy

    def randrange(self, _: int) -> int:
        self._proxy.cutting.clear()
        return 0


def test_a_deployment_that_the_server_refuses_in_the_middle_says_how_far_it_came(app):
    shard = app.namespace.shards[0]
    with (
        after_calls(shard, 5, lambda: shard.client.config_set("min-replicas-to-write", 1)),
        pytest.raises(ServerRefused, match="min-replicas-to-write.* of 250 jobs are registered"),
    ):
        deploy(app)
    shard.client.config_set("min-replicas-to-write", 0)
    assert 0 < registered_once(app) < 250
    assert deploy(app).total() == 250
    assert registered_once(app) == 250


def test_the_error_of_one_job_alone_says_nothing_of_others(app, url):
    with deploying(url) as (behind, proxy):
        behind.namespace.connect()
        proxy.cutting.set()
        with pytest.raises(NotConnected) as lost:
            behind.control.register(DECLARED[0])
    assert "jobs are registered" not in str(lost.value)


def test_when_one_shard_breaks_nothing_goes_on_at_the_others(app, url):
    def fail():
        raise NotConnected("the server of one shard is away.")

    others = set(threading.enumerate())
    with Jobistemer(url, namespace="two", shards=2) as sharded:
        first, _ = sharded.namespace.shards
        with (
            after_calls(first, 1, fail),
            pytest.raises(NotConnected, match=r"of one shard is away\. [0-9]+ of 250 jobs are registered") as lost,
        ):
            sharded.control.register_all(DECLARED)
        # Although the error still holds all that was under way
        assert lost.traceback
        left = set(threading.enumerate()) - others
        assert [each.name for each in left if "ThreadPoolExecutor" in each.name] == []
        assert Counter(each.word for each in sharded.control.register_all(DECLARED)).total() == 250
        assert sum(shard.ask("ZCARD", shard.keys.due) for shard in sharded.namespace.shards) == 250
