"""Many shards behind one app: on one server, and on a cluster of three."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest

from jobistemer import NO_RETRIES, Concurrency, Context, Jobistemer, Results, Retry
from jobistemer.control.audit import audit_jobs
from jobistemer.control.dead_letters import DeadLetters
from jobistemer.control.queues import QueueControl
from jobistemer.core import ids
from jobistemer.core.settings import TickerSettings
from jobistemer.runtime.repeat import start_thread
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.store.reads import queues, records
from jobistemer.store.reads.jobs import count_delayed, list_jobs
from jobistemer.ticker.ticker import Ticker
from tests.support.apps import drain_queues, running_worker
from tests.support.servers import FAKE, SHARDS, available, clusters, empty_server, folder_of, running
from tests.support.shard_state import find_leaks
from tests.support.worker_processes import wait_until

# The cluster is among them whatever other servers were asked for: what is tested here needs shards on several nodes.
KINDS = [FAKE, *clusters()] if FAKE in available() else clusters()


@pytest.fixture(scope="module", params=KINDS)
def url(request, tmp_path_factory):
    with running(request.param, tmp_path_factory.mktemp(folder_of(request.param))) as url:
        yield url


@pytest.fixture
def app(url):
    empty_server(url)
    app = Jobistemer(url, namespace="test", shards=SHARDS)

    @app.task
    def double(number: int) -> int:
        return 2 * number

    @app.task(queue="mail", limits=[Concurrency(1, key="{customer}")])
    def send(customer: str) -> None: ...

    yield app
    app.namespace.close()


@pytest.fixture
def ticking(app):
    shutdown = Shutdown()
    thread = start_thread(lambda: Ticker(app.namespace, TickerSettings()).run(shutdown), "ticker of the test")
    yield
    shutdown.request()
    thread.join(60)
    assert not thread.is_alive()


def runs_by_shard(app):
    counts = [len(list(each.client.scan_iter(f"{each.keys.tag}:run:*", count=1000))) for each in app.namespace.shards]
    return [count for count in counts if count]


async def awaited(app, numbers):
    handles = [await app.enqueue_async("double", {"number": number}) for number in numbers]
    return await asyncio.gather(*(handle.result_async(timeout=60) for handle in handles))


def test_calls_go_to_all_shards_and_each_is_executed_once(app):
    # Given calls that were enqueued one by one, together, and on an event loop
    handles = [app.enqueue("double", {"number": number}) for number in range(50)]
    handles += app.enqueue_many(app.request("double", {"number": number}) for number in range(50, 150))
    assert len(runs_by_shard(app)) == SHARDS

    # When a worker works
    with running_worker(app):
        later = asyncio.run(awaited(app, range(150, 200)))
        results = [handle.result(timeout=60) for handle in handles] + later

    # Then all of it has come, and nothing is left over on any shard
    assert results == [2 * number for number in range(200)]
    assert [find_leaks(shard) for shard in app.namespace.shards] == [{}] * SHARDS


def test_a_burst_ends_when_all_shards_are_empty_also_of_what_its_own_runs_enqueue(app):
    @app.task
    def chain(left: int) -> None:
        if left:
            app.enqueue("chain", {"left": left - 1})

    for _ in range(5):
        app.enqueue("chain", {"left": 20})
    worker = drain_queues(app, concurrency=2)
    assert worker.counts()["done"] == 5 * 21


def test_a_run_is_found_by_its_id_on_whatever_shard_it_is(app):
    # Given a call, one with a unique key, one with a limit, and the task of a job that was triggered
    @app.job("0 3 1 1 *", name="yearly")
    def yearly() -> int:
        return 7

    app.deploy()
    occurrence, _ = app.control.trigger("yearly")
    task_run = ids.run_id(occurrence, ids.task_id(ids.job_id("yearly"), "yearly"))
    handles = [app.enqueue("double", {"number": 1}), app.enqueue("double", {"number": 1}, unique="order 7")]
    handles.append(app.enqueue("send", {"customer": "a"}))
    known = [handle.id for handle in handles] + [task_run]

    # When only the ids are known
    others = [Jobistemer(app.namespace.url, namespace="test").run(run) for run in known]
    assert [other.state() for other in others] == ["pending"] * 4
    drain_queues(app, queues={"default": 0, "mail": 0})

    # Then the results are found too, also on an event loop
    assert [other.result(timeout=60) for other in others] == [2, 2, None, 7]
    assert asyncio.run(app.run(task_run).result_async(timeout=60)) == 7


def test_a_unique_key_holds_on_all_shards(app):
    first = [app.enqueue("double", {"number": n}, unique=f"key {n}") for n in range(30)]
    again = [app.enqueue("double", {"number": -n}, unique=f"key {n}") for n in range(30)]
    many = app.enqueue_many(app.request("double", {"number": -n}, unique=f"key {n}") for n in range(30))
    assert [each.id for each in again] == [each.id for each in many] == [each.id for each in first]
    assert all(each.existing for each in [*again, *many])
    drain_queues(app)
    assert [each.result(timeout=60) for each in again] == [2 * n for n in range(30)]


def test_calls_that_share_a_limit_share_a_shard(app):
    running, most, lock = Counter(), Counter(), threading.Lock()

    @app.task(limits=[Concurrency(2, key="{customer}")])
    def call(customer: str) -> None:
        with lock:
            running[customer] += 1
            most[customer] = max(most[customer], running[customer])
        barrier.wait(0.01)
        with lock:
            running[customer] -= 1

    barrier = threading.Event()
    for number in range(60):
        app.enqueue("call", {"customer": "abc"[number % 3]})
    assert sum(runs_by_shard(app)) == 60
    assert len(runs_by_shard(app)) <= 3
    drain_queues(app, concurrency=8)
    assert most.keys() == {"a", "b", "c"}
    assert max(most.values()) <= 2


def test_queues_are_listed_paused_and_purged_on_all_shards(app):
    for number in range(40):
        app.enqueue("double", {"number": number})
        app.enqueue("double", {"number": number}, delay=3600)
    control = QueueControl(app.namespace)
    (listed,) = control.list()
    assert (listed.name, listed.waiting, count_delayed(app.namespace.shards)) == ("default", 40, 40)

    control.pause("default")
    assert [each.paused for each in control.list()] == [True]
    control.resume("default")
    assert control.purge("default", "test") == 80
    assert [find_leaks(shard) for shard in app.namespace.shards] == [{}] * SHARDS


def test_dead_letters_of_all_shards_are_listed_and_replayed(app):
    @app.task(retry=NO_RETRIES)
    def fails() -> None:
        raise ValueError("no")

    for _ in range(30):
        app.enqueue("fails")
    drain_queues(app)
    dead = DeadLetters(app.namespace)
    letters = list(dead.all())
    assert len(letters) == 30
    replayed = [dead.replay(letter.run.id) for letter in letters]
    assert len(set(replayed)) == 30
    assert {app.run(run).state() for run in replayed} == {"pending"}


def test_jobs_fire_and_delayed_runs_are_promoted_on_every_shard(app, ticking):
    # Given as many jobs that are due every second as it takes to have some on each shard
    for number in range(3 * SHARDS):
        app.job("* * * * * *", name=f"second_{number}", overlap="allow")(lambda: None)
    app.deploy()
    delayed = [app.enqueue("double", {"number": n}, delay=0.2) for n in range(3 * SHARDS)]

    # When tickers and workers are at work
    with running_worker(app):
        assert [each.result(timeout=60) for each in delayed] == [2 * n for n in range(3 * SHARDS)]
        wait_until(lambda: all(each.last for each in list_jobs(app.namespace.shards)), "each job has fired")

    # Then the ticker is known on every shard, and the record of all is complete
    assert [len(queues.list_tickers([shard])) for shard in app.namespace.shards] == [1] * SHARDS
    assert [audited.findings for audited in audit_jobs(app.namespace)] == [()] * 3 * SHARDS


def test_graphs_retries_children_and_cancels_work_on_whatever_shard_they_are(app, ticking):
    # Given a job of two tasks on each shard, calls that need a second attempt, calls with children, and some for later
    for number in range(SHARDS):
        job = app.job("0 3 1 1 *", name=f"graph_{number}")

        @job.task
        def extract() -> int:
            return 20

        @job.task(after=[extract])
        def load(extract: int) -> int:
            return extract + 1

    @app.task
    def again(context: Context) -> int:
        if not context.attempt:
            raise Retry(after=0.01)
        return context.attempt

    @app.task
    def halve(number: int) -> int:
        return number // 2

    @app.task
    def total(halves: Results[int]) -> int:
        return sum(halves)

    @app.task
    def parent(context: Context) -> str:
        return context.map(halve, [4, 6, 8], reduce=total)

    app.deploy()
    homes = [app.namespace.for_job(ids.job_id(f"graph_{number}")) for number in range(SHARDS)]
    assert len(set(map(id, homes))) == SHARDS
    later = [app.enqueue("double", {"number": number}, delay=3600) for number in range(3 * SHARDS)]

    # When all of it is done, and what waits is cancelled
    with running_worker(app):
        occurrences = [app.control.trigger(f"graph_{number}")[0] for number in range(SHARDS)]
        tried = [app.enqueue("again") for _ in range(3 * SHARDS)]
        reducers = [app.run(app.enqueue("parent").result(timeout=60)) for _ in range(SHARDS)]
        assert [each.result(timeout=60) for each in tried] == [1] * 3 * SHARDS
        assert [each.result(timeout=60) for each in reducers] == [9] * SHARDS
        wait_until(
            lambda: all(ended(*each) for each in zip(homes, occurrences, strict=True)), "each occurrence has ended"
        )
    assert all(each.cancel() for each in later)

    # Then it was done on all shards, and nothing is left over on any
    assert len(runs_by_shard(app)) == SHARDS
    loads = [ids.run_id(occ, ids.task_id(ids.job_id(f"graph_{n}"), "load")) for n, occ in enumerate(occurrences)]
    assert [app.run(load).result(timeout=60) for load in loads] == [21] * SHARDS
    assert [find_leaks(shard) for shard in app.namespace.shards] == [{}] * SHARDS


def ended(home, occurrence):
    return records.find_occurrences(home, [occurrence])[0].state == "completed"
