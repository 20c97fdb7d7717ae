"""Connections: few, waited for, ended with what they belong to, and never longer in use than the caller has time."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobistemer import InvalidInput, Jobistemer, NotConnected, ResultTimeout
from jobistemer.store.server import direct_execute as direct_module
from jobistemer.store.server.direct_execute import direct_execute, direct_execute_all
from jobistemer.store.server.pool import FRESH_S, MAX_CONNECTIONS, WaitingPool
from tests.support.apps import drain_queues, running_worker
from tests.support.servers import VALKEY, running

DESCRIPTORS = Path("/proc/self/fd")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(VALKEY, tmp_path_factory.mktemp("valkey")) as found:
        yield found


@pytest.fixture
def app(url: str) -> Iterator[Jobistemer]:
    redis.Redis.from_url(url).flushall()
    with Jobistemer(url, namespace="test") as opened:

        @opened.task
        async def echo(number: int) -> int:
            return number

        yield opened


def count_connections(url: str) -> int:
    """How many connections of this package the server has."""
    with redis.Redis.from_url(url) as client:
        return sum(each["name"] == "jobistemer" for each in client.client_list())


@contextmanager
def stopped(url: str) -> Iterator[None]:
    """A server that hangs: its connections stay, and it answers nothing."""
    with redis.Redis.from_url(url) as client:
        pid = int(client.info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_three_hundred_coroutines_enqueue_at_once_on_few_connections(app, url):
    async def enqueue_all() -> int:
        await asyncio.gather(*(app.enqueue_async("echo", {"number": each}) for each in range(300)))
        return count_connections(url)

    assert asyncio.run(enqueue_all()) <= MAX_CONNECTIONS + 2
    assert app.queues.list()[0].waiting == 300


def test_three_hundred_threads_enqueue_at_once_on_few_connections(app, url):
    start = threading.Barrier(300)

    def enqueue(number: int) -> str:
        start.wait()
        return app.enqueue("echo", {"number": number}).id

    with ThreadPoolExecutor(300) as threads:
        assert len(set(threads.map(enqueue, range(300)))) == 300
    assert count_connections(url) <= MAX_CONNECTIONS


def test_two_hundred_threads_wait_for_results_on_few_connections(app, url):
    runs = [app.enqueue("echo", {"number": each}) for each in range(200)]
    start = threading.Barrier(201)

    def wait(run):
        start.wait()
        return run.result(timeout=60)

    with ThreadPoolExecutor(200) as threads:
        found = threads.map(wait, runs)
        start.wait()
        drain_queues(app)
        assert list(found) == list(range(200))
    # The worker has ended, and what it used in the meantime is here as well.
    assert count_connections(url) <= MAX_CONNECTIONS + 4


@pytest.mark.slow
@pytest.mark.process
def test_ten_thousand_coroutines_wait_for_results_on_twenty_connections(app, url):
    most = 0

    async def ask(number: int) -> int:
        return await (await app.enqueue_async("echo", {"number": number})).result_async(timeout=100)

    async def look() -> None:
        nonlocal most
        while True:
            most = max(most, await asyncio.to_thread(count_connections, url))
            await asyncio.sleep(0.1)

    async def ask_all() -> list[int]:
        looking = asyncio.create_task(look())
        try:
            return await asyncio.gather(*(ask(each) for each in range(10_000)))
        finally:
            looking.cancel()

    other = Jobistemer(url, namespace="test")
    other.handlers.update(app.handlers)
    with other, running_worker(other):
        before = count_connections(url)
        assert asyncio.run(ask_all()) == list(range(10_000))
    assert 0 < most - before <= 20


def test_max_connections_of_the_url_bounds_them(url):
    before = count_connections(url)
    with Jobistemer(f"{url}?max_connections=3", namespace="test") as app:
        with ThreadPoolExecutor(50) as threads:
            list(threads.map(lambda number: app.enqueue("echo", {"number": number}), range(200)))
        assert count_connections(url) - before == 3


def test_three_hundred_loops_one_after_another_leave_no_descriptor(app):
    app.enqueue("echo", {"number": 0})
    before = len(list(DESCRIPTORS.iterdir()))
    for number in range(300):
        asyncio.run(app.enqueue_async("echo", {"number": number}))
    assert len(list(DESCRIPTORS.iterdir())) <= before


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_a_loop_leaves_that_was_closed_without_its_generators_goes_with_the_next_use(app):
    app.enqueue("echo", {"number": 0})
    before = len(list(DESCRIPTORS.iterdir()))
    for number in range(10):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(app.enqueue_async("echo", {"number": number}))
        loop.close()
    asyncio.run(app.aclose())
    gc.collect()
    assert len(list(DESCRIPTORS.iterdir())) <= before


def test_a_closed_app_has_no_connection_and_opens_one_when_it_is_used_again(app, url):
    async def use() -> tuple[int, int]:
        async with app:
            await app.enqueue_async("echo", {"number": 1})
            during = count_connections(url)
        return during, count_connections(url)

    during, after = asyncio.run(use())
    assert during > 0
    assert after == 0
    app.enqueue("echo", {"number": 2})
    app.close()
    assert count_connections(url) == 0


@pytest.mark.process
def test_a_script_ends_without_a_warning_in_development_mode(url):
    script = (
        "import asyncio\n"
        "from jobistemer import Jobistemer\n"
        f"app = Jobistemer({url!r}, namespace='test')\n"
        "app.enqueue('echo', {'number': 1})\n"
        "asyncio.run(app.enqueue_async('echo', {'number': 2}))\n"
    )
    command = [sys.executable, "-X", "dev", "-W", "error::ResourceWarning", "-c", script]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_timeout_holds_for_the_whole_wait_though_the_server_hangs(app, url):
    run = app.enqueue("echo", {"number": 1})
    with stopped(url), pytest.raises(ResultTimeout, match="has not told within 1 s"):
        run.result(timeout=1)

    async def wait() -> None:
        awaited = await app.enqueue_async("echo", {"number": 1})
        with stopped(url), pytest.raises(ResultTimeout, match="has not told within 1 s"):
            await awaited.result_async(timeout=1)

    asyncio.run(wait())


def test_a_deadline_holds_for_every_call_though_the_server_hangs(app, url):
    app.enqueue("echo", {"number": 1})
    with stopped(url), app.deadline(0.5), pytest.raises(NotConnected, match="within the time given"):
        app.enqueue("echo", {"number": 2})

    async def enqueue() -> None:
        await app.enqueue_async("echo", {"number": 1})
        with stopped(url), app.deadline(0.5), pytest.raises(NotConnected, match="within the time given"):
            await app.enqueue_async("echo", {"number": 2})

    asyncio.run(enqueue())
    # The server goes on, and so does the app.
    assert app.enqueue("echo", {"number": 3}).state() == "pending"


def test_a_deadline_that_is_no_number_of_seconds_is_refused(app):
    for wrong in (0, -1, float("nan"), "2"):
        with pytest.raises(InvalidInput, match="deadline"):
            app.deadline(wrong)


def test_connections_that_run_out_are_not_told_as_a_dead_server(url):
    with Jobistemer(f"{url}?max_connections=1", namespace="test") as app:
        app.enqueue("echo", {"number": 1})
        pool = app.namespace.shards[0].client.connection_pool
        held = pool.get_connection()
        with app.deadline(0.1), pytest.raises(NotConnected, match="all 1 connections of this process were in use"):
            app.enqueue("echo", {"number": 2})
        pool.release(held)
        assert app.enqueue("echo", {"number": 3}).state() == "pending"


def close_by_server(app: Jobistemer) -> Any:
    """Have the server close the only connection of an app; returns it."""
    client = app.namespace.shards[0].client
    (connection,) = client.connection_pool._available_connections
    client.client_kill_filter(_type="normal", skipme=False)
    # The answer arrives before the end of the connection does.
    with suppress(redis.ConnectionError):
        while not connection.can_read():
            pass
    return connection


def test_an_idle_connection_that_the_server_has_closed_is_replaced_before_a_script_is_sent(url):
    with Jobistemer(f"{url}?max_connections=1", namespace="test") as app:
        app.enqueue("echo", {"number": 1})
        pool = app.namespace.shards[0].client.connection_pool
        connection = close_by_server(app)
        connection.idle_since -= FRESH_S
        assert pool.pop_idle() is None
        assert pool._available_connections == [connection]
        assert app.enqueue("echo", {"number": 2}).state() == "pending"


def test_a_connection_that_was_just_in_use_is_not_looked_at_and_costs_another_try_when_it_is_closed(app, url):
    with Jobistemer(f"{url}?max_connections=1", namespace="test") as other:
        other.enqueue("echo", {"number": 1})
        client = other.namespace.shards[0].client
        connection = close_by_server(other)
        connection.idle_since = time.monotonic()
        assert direct_execute(client)("INCR", "counted") == 1
        assert (connection.is_connected, client.connection_pool._in_use_connections) == (True, set())


@pytest.mark.parametrize("options", [{}, {"retry": Retry(NoBackoff(), 0)}], ids=["of redis-py's own", "none"])
def test_without_another_try_a_connection_that_was_just_in_use_is_looked_at(app, url, options):
    pool = WaitingPool.from_url(url, max_connections=1, **options)
    execute = direct_execute(redis.Redis(connection_pool=pool))
    assert execute("INCR", "counted") == 1
    (connection,) = pool._available_connections
    app.namespace.shards[0].client.client_kill_filter(_type="normal", skipme=True)
    with suppress(redis.ConnectionError):
        while not connection.can_read():
            pass
    connection.idle_since = time.monotonic()
    assert execute("INCR", "counted") == 2


def test_a_connection_that_breaks_while_a_command_is_sent_is_made_anew(app, url):
    app.enqueue("echo", {"number": 1})
    client = app.namespace.shards[0].client
    (connection,) = client.connection_pool._available_connections
    connection._sock.shutdown(socket.SHUT_WR)
    with pytest.raises(redis.ConnectionError, match="Broken pipe"):
        connection.exchange(b"*1\r\n$4\r\nPING\r\n")
    assert not connection.is_connected
    assert direct_execute(client)("ECHO", "again") == b"again"


def test_new_credentials_are_sent_when_a_connection_comes_back(app, url):
    app.enqueue("echo", {"number": 1})
    client = app.namespace.shards[0].client
    (connection,) = client.connection_pool._available_connections
    client.acl_setuser("renewed", enabled=True, passwords=["+secret"], commands=["+@all"], keys=["*"])
    connection.set_re_auth_token(Mock(try_get=lambda name: "renewed", get_value=lambda: "secret"))
    execute = direct_execute(client)
    assert (execute("ACL", "WHOAMI"), execute("ACL", "WHOAMI")) == (b"default", b"renewed")


@pytest.mark.parametrize(("argument", "error"), [(None, redis.DataError), ("\ud800", UnicodeEncodeError)])
@pytest.mark.parametrize("has_hiredis", [True, False])
def test_an_argument_that_cannot_be_packed_raises_what_redis_py_raises_and_costs_no_connection(
    url, monkeypatch, has_hiredis, argument, error
):
    if not has_hiredis:
        monkeypatch.setattr(direct_module, "pack", None)
    with Jobistemer(f"{url}?max_connections=2", namespace="test") as app:
        client = app.namespace.shards[0].client
        execute, pool = direct_execute(client), client.connection_pool
        for call in [client.execute_command, *[execute] * 3]:
            with pytest.raises(error):
                call("SET", "key", argument)
        assert pool._in_use_connections == set()
        assert execute("PING") in (b"PONG", "PONG")


class StoppedHere(BaseException):
    """What the end of a handler raises in its thread, at any moment."""


def test_what_stops_a_thread_between_a_command_and_its_answer_leaves_the_answer_to_nobody(url, monkeypatch):
    with Jobistemer(f"{url}?max_connections=1", namespace="test") as app:
        app.enqueue("echo", {"number": 1})
        client = app.namespace.shards[0].client
        execute, (connection,) = direct_execute(client), client.connection_pool._available_connections
        with monkeypatch.context() as patch, pytest.raises(StoppedHere):
            patch.setattr(connection._parser, "read_response", Mock(side_effect=StoppedHere))
            execute("ECHO", "of the first")
        assert (connection.is_connected, client.connection_pool._in_use_connections) == (False, set())
        assert execute("ECHO", "of the second") == b"of the second"


def test_many_commands_go_in_one_round_trip_and_one_that_is_refused_leaves_the_others_their_answers(app, url):
    app.enqueue("echo", {"number": 1})
    client = app.namespace.shards[0].client
    execute_all = direct_execute_all(client)
    sent = [("HSET", "h", "a", 1), ("GET", "h"), ("HGETALL", "h"), ("SCRIPT EXISTS", "0" * 40), ("PING",)]
    written, refused, fields, known, pong = execute_all(sent)
    assert (written, fields, known, pong) == (1, {b"a": b"1"}, [False], True)
    assert isinstance(refused, redis.ResponseError)
    assert str(refused).startswith("WRONGTYPE")
    assert execute_all([]) == []


def test_a_command_that_cannot_be_packed_costs_no_connection_and_sends_none_of_the_others(app):
    app.enqueue("echo", {"number": 1})
    client = app.namespace.shards[0].client
    with pytest.raises(redis.DataError):
        direct_execute_all(client)([("SET", "k", 1), ("SET", "k", None)])
    assert (client.connection_pool._in_use_connections, client.get("k")) == (set(), None)


def test_what_stops_a_thread_between_two_answers_leaves_the_others_to_nobody(url, monkeypatch):
    with Jobistemer(f"{url}?max_connections=1", namespace="test") as app:
        app.enqueue("echo", {"number": 1})
        client = app.namespace.shards[0].client
        execute_all, (connection,) = direct_execute_all(client), client.connection_pool._available_connections
        with monkeypatch.context() as patch, pytest.raises(StoppedHere):
            patch.setattr(connection, "read_response", Mock(side_effect=[b"first", StoppedHere]))
            execute_all([("ECHO", "first"), ("ECHO", "second")])
        assert (connection.is_connected, client.connection_pool._in_use_connections) == (False, set())
        assert execute_all([("ECHO", "third")]) == [b"third"]


def test_what_stops_a_thread_while_it_takes_a_connection_costs_none(url, monkeypatch):
    with Jobistemer(f"{url}?max_connections=1", namespace="test") as app:
        app.enqueue("echo", {"number": 1})
        pool = app.namespace.shards[0].client.connection_pool
        (connection,) = pool._available_connections
        connection.idle_since -= FRESH_S
        with monkeypatch.context() as patch, pytest.raises(StoppedHere):
            patch.setattr(connection, "can_read", Mock(side_effect=StoppedHere))
            app.enqueue("echo", {"number": 2})
        assert (pool._in_use_connections, pool._available_connections) == (set(), [connection])
        assert app.enqueue("echo", {"number": 3}).state() == "pending"


def test_a_script_gives_its_connection_to_who_has_waited_longest(url):
    with Jobistemer(f"{url}?max_connections=1", namespace="test") as app:
        app.enqueue("echo", {"number": 1})
        pool = app.namespace.shards[0].client.connection_pool
        held, served = pool.pop_idle(), []
        assert pool.pop_idle() is None

        def take() -> None:
            connection = pool.get_connection()
            served.append(connection)
            pool.push_idle(connection)

        thread = threading.Thread(target=take)
        thread.start()
        while not pool._queue:
            pass
        pool.push_idle(held)
        thread.join(10)
        assert served == [held]


def test_whoever_waits_longest_for_a_connection_gets_the_next_one(url):
    with Jobistemer(f"{url}?max_connections=1", namespace="test") as app:
        app.enqueue("echo", {"number": 1})
        pool = app.namespace.shards[0].client.connection_pool
        held, served = pool.get_connection(), []

        def take(number: int) -> None:
            connection = pool.get_connection()
            served.append(number)
            pool.release(connection)

        threads = []
        for number in range(5):
            threads.append(threading.Thread(target=take, args=(number,)))
            threads[-1].start()
            while len(pool._queue) <= number:
                pass
        pool.release(held)
        for thread in threads:
            thread.join(10)
        assert served == [0, 1, 2, 3, 4]


def test_a_coroutine_that_is_cancelled_while_it_waits_keeps_nobody_waiting(url):
    async def story() -> None:
        async with Jobistemer(f"{url}?max_connections=1", namespace="test") as app:
            await app.enqueue_async("echo", {"number": 1})
            pool = app.namespace.server.of_loop().client.connection_pool
            held = await pool.get_connection()
            first, second = (asyncio.create_task(pool.get_connection()) for _ in range(2))
            while len(pool._queue) < 2:
                await asyncio.sleep(0)
            await pool.release(held)
            first.cancel()
            assert await second is held
            await pool.release(held)

    asyncio.run(story())


def test_a_child_that_was_forked_has_connections_of_its_own(app, url):
    run = app.enqueue("echo", {"number": 1})
    pid = os.fork()
    if pid == 0:
        asyncio.run(app.queues.list_async())
        os._exit(0 if app.enqueue("echo", {"number": 2}).id != run.id else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert run.state() == "pending"


def test_what_asks_the_server_has_an_awaited_twin(app):
    async def story() -> None:
        first, *_ = await app.enqueue_many_async(app.request("echo", {"number": each}) for each in range(3))
        assert await first.state_async() == "pending"
        assert (await first.record_async()).handler == "echo"
        assert [each.waiting for each in await app.queues.list_async()] == [3]
        await app.queues.pause_async("default")
        assert [each.paused for each in await app.queues.list_async()] == [True]
        await app.queues.resume_async("default")
        assert [each async for each in app.dead.all_async()] == await app.dead.page_async() == []
        assert (await app.control.list_async()).jobs == ()
        assert await first.cancel_async("enough") is True
        assert [each.state async for each in first.watch_async()] == ["canceled"]

    asyncio.run(story())
