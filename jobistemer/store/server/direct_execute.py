"""Commands sent to one server without what redis-py does around each command."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from operator import methodcaller
from typing import Any

import redis
import redis.asyncio

from jobistemer.store.server.packed_connection import pack
from jobistemer.store.server.pool import AsyncWaitingPool, WaitingPool


def direct_execute(client: redis.Redis) -> Callable[..., Any] | None:
    """Return a function that executes a script on the server of a client, with its tries and its deadline.

    `execute_command` counts and times each command for OpenTelemetry as well, and looks for a function that changes the
    answer: a tenth of what an enqueue costs its caller. For one server with a pool of ours this does without. Returns
    None for a client of a cluster, of Sentinels or of memory, which goes its own way. The function raises what redis-py
    does, such as DataError for an argument that is no text, number or bytes.
    """
    pool = client.connection_pool
    if type(client) is not redis.Redis or not isinstance(pool, WaitingPool):
        return None

    def execute(*command: Any) -> Any:
        # Before a connection is taken: an argument that cannot be packed must not cost one.
        try:
            packed = pack(command) if pack is not None else None
        except TypeError as error:
            raise redis.DataError(str(error)) from error
        if packed is None:
            return _with_connection(pool, lambda one: one.exchange(b"".join(one.pack_command(*command))))
        return _with_connection(pool, methodcaller("exchange", packed))

    return execute


def direct_execute_all(client: redis.Redis) -> Callable[[Sequence[Sequence[Any]]], list[Any]] | None:
    """Return a function that executes commands in one round trip, and returns errors in place of their answers.

    A pipeline of redis-py makes an object of each command and looks at each argument in Python: half of what a read of
    a hundred hashes costs. Returns None for the same clients as `direct_execute`, and where hiredis is not installed.
    """
    pool, pack_one = client.connection_pool, pack
    if type(client) is not redis.Redis or not isinstance(pool, WaitingPool) or pack_one is None:
        return None
    callbacks = client.response_callbacks

    def execute_all(commands: Sequence[Sequence[Any]]) -> list[Any]:
        if not commands:
            return []
        try:
            # A name may have several words, such as SCRIPT LOAD, which the server expects one by one.
            packed = b"".join([pack_one((*each[0].split(), *each[1:])) for each in commands])
        except TypeError as error:
            raise redis.DataError(str(error)) from error

        def exchange(connection: Any) -> list[Any]:
            connection.send_packed_command((packed,))
            return [_read_answer(connection) for _ in commands]

        return [
            callbacks[command[0]](answer) if command[0] in callbacks and not isinstance(answer, Exception) else answer
            for command, answer in zip(commands, _with_connection(pool, exchange), strict=True)
        ]

    return execute_all


def _with_connection(pool: WaitingPool, exchange: Callable[[Any], Any]) -> Any:
    """Call a function with a connection of the pool; again when that breaks, as often as its retry allows."""
    connection, give_back = pool.pop_idle(), pool.push_idle
    if connection is None:
        connection, give_back = pool.get_connection(), pool.release
    try:
        return connection.retry.call_with_retry(partial(exchange, connection), lambda _: connection.disconnect())
    except redis.RedisError:
        raise
    except BaseException:
        # The answer may still arrive, and the next command on this connection would take it for its own.
        connection.disconnect()
        raise
    finally:
        give_back(connection)


def _read_answer(connection: Any) -> Any:
    try:
        return connection.read_response()
    except redis.ResponseError as refused:
        return refused


def direct_execute_async(client: Any) -> Callable[..., Awaitable[Any]] | None:
    """Return the same for a client of an event loop: it takes a call that is awaited alone a quarter less."""
    if type(client) is not redis.asyncio.Redis or not isinstance(client.connection_pool, AsyncWaitingPool):
        return None
    pool = client.connection_pool

    async def execute(*command: Any) -> Any:
        connection = await pool.pop_idle()
        if connection is None:
            return await client.execute_command(*command)

        async def exchange() -> Any:
            await connection.send_packed_command(connection.pack_command(*command))
            # A read that is cancelled closes the connection, so the answer is nobody's.
            return await connection.read_response()

        try:
            return await connection.retry.call_with_retry(exchange, lambda _: connection.disconnect())
        finally:
            await pool.push_idle(connection)

    return execute
