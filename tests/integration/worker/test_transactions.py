"""A transaction is applied with the outcome or not at all, whatever happens to the worker around it (I4, I5, I7)."""

import itertools
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from jobistemer import Context, Fail, Jobistemer
from jobistemer.app.transaction_enqueue import prepare_follow_up
from jobistemer.core.errors import InvalidInput
from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.core.states import RunState
from jobistemer.store.reads import records as views
from tests.support.apps import drain_queues, empty_app, shard_of
from tests.support.paths import ROOT
from tests.support.servers import VALKEY, running
from tests.support.shard_state import records

WAIT = 60


@pytest.fixture
def app(server_url):
    return empty_app(server_url)


def own(app):
    return {key: value for key, value in records(shard_of(app)).items() if key.startswith("app:")}


def test_writes_and_follow_ups_are_applied_when_the_handler_succeeds(app):
    @app.task
    def follow(of: str) -> str:
        return of

    @app.task
    def pay(ctx: Context, amount: int) -> int:
        ctx.transaction.write("INCRBY", "balance:7", -amount)
        ctx.transaction.write("RPUSH", "ledger", f"paid {amount}")
        ctx.transaction.enqueue(follow.request(of="pay"))
        ctx.transaction.enqueue(app.request("follow", {"of": "by name"}))
        assert not shard_of(app).client.exists(ctx.transaction.key("balance:7"))
        return amount

    run = pay.enqueue(amount=5)
    drain_queues(app)
    assert run.result(0) == 5
    assert own(app) == {"app:balance:7": "-5", "app:ledger": ["paid 5"]}
    results = [value["result"] for key, value in records(shard_of(app)).items() if value and key.startswith("run:")]
    assert sorted(results) == ['"by name"', '"pay"', "5"]


def test_a_follow_up_into_a_queue_that_is_being_drained_belongs_to_what_is_worked_off(app):
    @app.task(queue="mail")
    def follow() -> None: ...

    @app.task
    def pay(ctx: Context) -> None:
        app.queues.drain("mail")
        ctx.transaction.write("SET", "paid", "yes")
        ctx.transaction.enqueue(follow.request())

    pay.enqueue()
    drain_queues(app)
    assert own(app) == {"app:paid": "yes"}
    waiting = [
        value
        for key, value in records(shard_of(app)).items()
        if key.startswith("run:") and value["handler"] == "follow"
    ]
    assert [run["state"] for run in waiting] == ["pending"]


@pytest.mark.parametrize("ending", [Fail("no"), ValueError("no")])
def test_nothing_is_applied_when_the_handler_fails(app, ending):
    @app.task(retry=NO_RETRIES)
    def pay(ctx: Context) -> None:
        ctx.transaction.write("INCRBY", "balance", 1)
        ctx.transaction.enqueue(app.request("follow"))
        raise ending

    run = pay.enqueue()
    drain_queues(app)
    assert run.state() in (RunState.FAILED, RunState.DEAD)
    assert own(app) == {}
    assert len([key for key in records(shard_of(app)) if key.startswith("run:")]) == 1


def test_each_attempt_collects_anew(app):
    @app.task
    def pay(ctx: Context) -> None:
        ctx.transaction.write("INCRBY", "balance", 1)
        if ctx.attempt == 0:
            from jobistemer import Retry

            raise Retry(after=0)

    pay.enqueue()
    drain_queues(app)
    assert own(app) == {"app:balance": "1"}


def test_a_refused_transaction_leaves_the_run_dead_with_the_reason_and_nothing_applied(app):
    shard_of(app).client.hset(shard_of(app).keys.own("balance"), "a", 1)

    @app.task
    def pay(ctx: Context) -> None:
        ctx.transaction.write("SET", "first", "x")
        ctx.transaction.write("INCRBY", "balance", 1)

    run = pay.enqueue()
    drain_queues(app)
    record = run.record()
    assert record.state is RunState.DEAD
    assert record.error == (
        f"the work was done, but its transaction was refused: INCRBY needs a string, {shard_of(app).keys.own('balance')} is a hash"
    )
    assert own(app) == {"app:balance": {"a": "1"}}


def test_follow_ups_live_on_the_shard_of_the_run(server_url):
    app = empty_app(server_url, shards=5)

    @app.task
    def follow() -> None: ...

    @app.task
    def start(ctx: Context) -> None:
        for _ in range(10):
            ctx.transaction.enqueue(follow.request())

    start.enqueue()
    drain_queues(app)
    counts = [len([key for key in records(each) if key.startswith("run:")]) for each in app.namespace.shards]
    assert sorted(counts) == [0, 0, 0, 0, 11]


def test_a_follow_up_with_the_unique_key_of_another_shard_is_refused_by_name(server_url):
    app = empty_app(server_url, shards=1000)
    request = app.request("follow", unique="order 7")
    with pytest.raises(InvalidInput, match="task 'follow' with a unique key belongs to another shard"):
        prepare_follow_up(app.producer, shard_of(app).keys, request)


def test_what_is_no_call_cannot_be_a_follow_up(app):
    with pytest.raises(InvalidInput, match=r"'follow' is no call; give task.request\(…\) or app.request\(…\)"):
        prepare_follow_up(app.producer, shard_of(app).keys, "follow")


def test_hooks_are_told_of_follow_ups_too(app):
    enqueued = []
    app.hooks.on_enqueue(lambda message: enqueued.append(message.handler))

    @app.task
    def start(ctx: Context) -> None:
        ctx.transaction.enqueue(app.request("follow"))

    start.enqueue()
    drain_queues(app)
    assert enqueued == ["start", "follow"]


# --- Real workers, killed ---------------------------------------------------------------------------------------------


@pytest.fixture
def url(tmp_path):
    with running(VALKEY, tmp_path) as url:
        yield url


@contextmanager
def worker(url):
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.worker.transacting"],
        cwd=ROOT,
        env={"JOBISTEMER_URL": url, "PATH": ""},
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until(condition):
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, "it never came"


def totals(app):
    """The total, the counts by run, and how many follow-ups ran."""
    database = shard_of(app)
    counts = database.client.hgetall(database.keys.own("runs"))
    followed = [key for key in records(database) if key.startswith("run:") and records_of(database, key) == "follow"]
    return int(database.client.get(database.keys.own("total")) or 0), set(counts.values()), len(followed)


def records_of(database, key):
    return database.client.hget(f"{database.keys.tag}:{key}", "handler").decode()


@pytest.mark.process
def test_a_worker_killed_before_the_commit_has_applied_nothing(url):
    app = Jobistemer(url, namespace="test")
    run = app.enqueue("count", {"wait": True})
    client = shard_of(app).client
    with worker(url) as first:
        wait_until(lambda: client.lpop("inside"))
        first.kill()
        first.wait()
    assert totals(app) == (0, set(), 0)
    with worker(url):
        run.result(timeout=WAIT)
        wait_until(lambda: totals(app)[2] == 1)
    assert totals(app) == (1, {b"1"}, 1)
    assert run.record().attempt == 1


@pytest.mark.process
def test_a_worker_killed_right_after_the_commit_leaves_it_applied_once(url):
    app = Jobistemer(url, namespace="test")
    run = app.enqueue("count")
    with worker(url) as first:
        wait_until(lambda: totals(app)[0])
        first.kill()
        first.wait()
    assert run.state() is RunState.SUCCEEDED
    with worker(url):
        app.enqueue("count").result(timeout=WAIT)
    assert totals(app)[:2] == (2, {b"1"})


@pytest.mark.slow
@pytest.mark.process
def test_workers_killed_at_any_moment_apply_every_transaction_exactly_once(url):
    app = Jobistemer(url, namespace="test")
    runs, client, key = 600, shard_of(app).client, shard_of(app).keys.own("total")
    handles = app.enqueue_many(app.request("count", {"pings": 20}) for _ in range(runs))
    chance = random.Random(7)
    for kill_at in sorted(chance.sample(range(20, runs - 100), 5)):
        with worker(url) as doomed:
            wait_until(lambda at=kill_at: int(client.get(key) or 0) >= at)
            doomed.send_signal(signal.SIGKILL)
    assert int(client.get(key)) < runs
    with worker(url):
        for handle in handles:
            handle.result(timeout=WAIT)
        wait_until(lambda: not client.xlen(shard_of(app).keys.stream("default:5")))
    assert totals(app) == (runs, {b"1"}, runs)
    assert any(handle.record().attempt for handle in handles), "no attempt was lost, so nothing was put to the test"


@pytest.mark.process
def test_a_zombie_that_wakes_up_has_its_transaction_refused(url):
    app = Jobistemer(url, namespace="test")
    run = app.enqueue("count", {"wait": True})
    client = shard_of(app).client
    with worker(url) as zombie:
        wait_until(lambda: client.lpop("inside"))
        zombie.send_signal(signal.SIGSTOP)
        with worker(url):
            run.result(timeout=WAIT)
            assert totals(app)[:2] == (1, {b"1"})
            zombie.send_signal(signal.SIGCONT)
            client.rpush("go on", "now")
            # It has done something since: its next run, which it could only begin after it had lost the first one.
            stale = b'"stale":1'
            wait_until(lambda: any(stale in status for status in statuses(app)))
    assert totals(app)[:2] == (1, {b"1"})
    attempts = views.find_attempts(shard_of(app), run.record())
    assert [attempt.state for attempt in attempts] == ["lost", "succeeded"]


def statuses(app):
    database = shard_of(app)
    workers = database.ask("ZRANGE", database.keys.workers, 0, -1)
    return [database.ask("HGET", database.keys.worker(each.decode()), "status") or b"" for each in workers]


def test_the_steps_of_a_transaction_are_bounded(app):
    said = []

    @app.task
    def many(ctx: Context) -> None:
        try:
            for number in itertools.count():
                ctx.transaction.write("SADD", "numbers", number)
        except InvalidInput as error:
            said.append(str(error))

    many.enqueue()
    drain_queues(app)
    assert said == ["transaction: it has 100 steps already, which is the most; enqueue a follow-up that does the rest"]
    assert len(own(app)["app:numbers"]) == 100
