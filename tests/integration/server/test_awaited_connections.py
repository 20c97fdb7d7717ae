"""Connections of calls that are awaited alone: scripts take them and give them back without what redis-py does around."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from unittest.mock import AsyncMock

import pytest
import redis
from redis.exceptions import DataError

from jobistemer import Jobistemer
from jobistemer.store.server import direct_execute as module
from jobistemer.store.server.direct_execute import direct_execute_async
from jobistemer.store.server.pool import AsyncWaitingPool
from tests.support.servers import VALKEY, running


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(VALKEY, tmp_path_factory.mktemp("valkey")) as found:
        yield found


def enqueueing(url: str, story: Callable[[Jobistemer, AsyncWaitingPool], Awaitable[None]]) -> None:
    """Play a story with an app of one connection, which is idle and connected."""

    async def play() -> None:
        with Jobistemer(f"{url}?max_connections=1", namespace="test") as app:
            await app.enqueue_async("echo", {"number": 1})
            await story(app, client_of(app).connection_pool)
            assert await (await app.enqueue_async("echo", {"number": 3})).state_async() == "pending"
            assert set(client_of(app).connection_pool._in_use_connections) == set()

    asyncio.run(play())


def client_of(app: Jobistemer) -> Any:
    return app.namespace.async_shard(app.namespace.shards[0])._shared.client


def idle(pool: AsyncWaitingPool) -> Any:
    (connection,) = pool._available_connections
    return connection


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0)


def test_a_script_is_sent_on_the_idle_connection(url, monkeypatch):
    async def story(app: Jobistemer, pool: AsyncWaitingPool) -> None:
        monkeypatch.setattr(client_of(app), "execute_command", AsyncMock(side_effect=AssertionError))
        connection = idle(pool)
        await app.enqueue_async("echo", {"number": 2})
        assert idle(pool) is connection
        monkeypatch.undo()

    enqueueing(url, story)


def test_an_idle_connection_that_the_server_has_closed_is_replaced_before_a_script_is_sent(url):
    async def story(app: Jobistemer, pool: AsyncWaitingPool) -> None:
        connection = idle(pool)
        with redis.Redis.from_url(url) as other:
            other.client_kill_filter(_type="normal", skipme=True)
        await until(connection._reader.at_eof)
        assert await pool.pop_idle() is None
        assert idle(pool) is connection

    enqueueing(url, story)


def test_a_script_whose_connection_breaks_before_the_answer_is_sent_again(url, monkeypatch):
    async def story(app: Jobistemer, pool: AsyncWaitingPool) -> None:
        connection = idle(pool)
        read, broken = connection.read_response, [redis.ConnectionError("broken")]

        async def read_or_break(*args: Any, **options: Any) -> Any:
            if broken:
                raise broken.pop()
            return await read(*args, **options)

        monkeypatch.setattr(connection, "read_response", read_or_break)
        run = await app.enqueue_async("echo", {"number": 2})
        assert (await run.state_async(), broken) == ("pending", [])

    enqueueing(url, story)


def test_a_caller_that_is_cancelled_between_a_script_and_its_answer_leaves_the_answer_to_nobody(url):
    async def story(app: Jobistemer, pool: AsyncWaitingPool) -> None:
        execute, connection = direct_execute_async(client_of(app)), idle(pool)
        assert execute is not None
        # The server answers when somebody pushes to the list.
        waiting = asyncio.ensure_future(execute("BLPOP", "nothing", 0))
        await until(lambda: connection._active_read_timeout is not None)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (connection.is_connected, idle(pool)) == (False, connection)
        assert await execute("ECHO", "of the second") == b"of the second"

    enqueueing(url, story)


def test_an_argument_that_cannot_be_packed_costs_no_connection(url):
    async def story(app: Jobistemer, pool: AsyncWaitingPool) -> None:
        execute, connection = direct_execute_async(client_of(app)), idle(pool)
        assert execute is not None
        with pytest.raises(DataError):
            await execute("SET", "key", None)
        assert (connection.is_connected, idle(pool)) == (True, connection)

    enqueueing(url, story)


def test_a_script_gives_its_connection_to_who_has_waited_longest(url):
    async def story(_app: Jobistemer, pool: AsyncWaitingPool) -> None:
        held = await pool.pop_idle()
        assert await pool.pop_idle() is None
        waiting = asyncio.ensure_future(pool.get_connection())
        await until(lambda: pool._queue)
        await pool.push_idle(held)
        assert await waiting is held
        await pool.release(held)

    enqueueing(url, story)


def test_clients_of_clusters_and_sentinels_go_their_own_way():
    assert module.direct_execute_async(object()) is None
    assert module.direct_execute_async(redis.asyncio.Redis()) is None
