"""Pools of connections that are bounded, and in which a caller waits for its turn.

The pools of redis-py raise when all connections are in use, and what they say then looks like a server that is away.
Here a caller waits, in the order of arrival: as long as its deadline allows, and without one as long as others get
their turn.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from threading import Event, Lock
from typing import Any, Final

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from redis.event import AfterConnectionReleasedEvent, AsyncAfterConnectionReleasedEvent
from redis.exceptions import MaxConnectionsError

from jobistemer.store.server.bounded_connection import BOUNDED
from jobistemer.store.server.deadline import LONGEST_CALL_S, seconds_left
from jobistemer.store.server.packed_connection import PACKED

MAX_CONNECTIONS: Final = 16
"""The connections that the calls of one process have by default, and those of one event loop."""
FRESH_S: Final = 0.5
"""A connection that came back within this time is used unseen, where a call has another try when it is closed."""


class PoolExhausted(redis.ConnectionError):
    """No connection has become free in time."""


class _Counting:
    """A mixin for pools: notes when a connection last came back in order, while others wait."""

    answered_at = 0.0

    def _note_answer(self: Any, connection: Any) -> None:
        # A connection that failed was closed. As long as others come back, the server answers and the queue moves on.
        if connection.is_connected:
            self.answered_at = time.monotonic()


class _Patience:
    """How long one caller waits for a connection."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._started = time.monotonic()
        self._ends_at = self._started + seconds_left()

    def left(self) -> float:
        """Return the seconds until the wait is over, unless the queue moves on meanwhile."""
        last: float = max(self._started, self._pool.answered_at)
        return max(0.0, min(self._ends_at, last + LONGEST_CALL_S) - time.monotonic())

    def wait(self, turn: Event) -> None:
        """Wait for a turn. Raises PoolExhausted."""
        while not turn.wait(self.left()):
            self.check()

    def check(self) -> None:
        """Raise PoolExhausted when the wait is over."""
        if self.left() <= 0:
            waited, count = time.monotonic() - self._started, self._pool.max_connections
            raise PoolExhausted(f"all {count} connections of this process were in use for {waited:.3g} s")


class _Waiting(_Counting):
    """A mixin for pools: a caller waits while all connections are in use.

    Who keeps a connection for a long time, such as in a read that blocks, enlarges the pool meanwhile: see `reserve`.
    """

    def reset(self: Any) -> None:
        """Forget all connections, at the beginning and after a fork."""
        self._queue: deque[Event] = deque()
        self._queue_lock = Lock()
        super().reset()  # type: ignore[misc] # redis-py's class comes next

    def enlarge(self: Any, connections: int) -> None:
        """Enlarge the pool by so many connections; a negative number makes it smaller again."""
        with self._queue_lock:
            self.max_connections += connections

    def get_connection(self: Any, *args: Any, **options: Any) -> Any:
        """Return a connection, after waiting for one if need be. Raises PoolExhausted."""
        try:
            return super().get_connection(*args, **options)  # type: ignore[misc] # redis-py's class comes next
        except MaxConnectionsError:
            return self._wait_for_connection()

    def release(self: Any, connection: Any) -> None:
        """Take a connection back, and wake the caller that has waited longest."""
        super().release(connection)  # type: ignore[misc] # redis-py's class comes next
        if self._queue:
            self._note_answer(connection)
            self._wake_next()

    def _wait_for_connection(self: Any) -> Any:
        turn, enter, patience = Event(), self._queue.append, _Patience(self)
        try:
            while True:
                # In the queue before the next try: a connection that is given back in between wakes this caller.
                turn.clear()
                with self._queue_lock:
                    enter(turn)
                with suppress(MaxConnectionsError):
                    return super().get_connection()  # type: ignore[misc] # redis-py's class comes next
                patience.wait(turn)
                # A caller that came later may be faster; then this one goes on at the head of the queue.
                enter = self._queue.appendleft
        finally:
            self._leave(turn)

    def _leave(self: Any, turn: Event) -> None:
        with self._queue_lock:
            if turn in self._queue:
                self._queue.remove(turn)
                return
        # It was woken and leaves without a connection: the next one must not wait for nothing.
        self._wake_next()

    def _wake_next(self: Any) -> None:
        with self._queue_lock:
            if self._queue:
                self._queue.popleft().set()


class _AsyncWaiting(_Counting):
    """A mixin for pools of one event loop: a caller waits while all connections are in use."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._queue: deque[asyncio.Future[None]] = deque()
        super().__init__(*args, **options)

    async def get_connection(self: Any, *args: Any, **options: Any) -> Any:
        """Return a connection, after waiting for one if need be. Raises PoolExhausted."""
        while True:
            if not self.can_get_connection():
                await self._wait_for_turn()
            try:
                return await super().get_connection(*args, **options)  # type: ignore[misc] # redis-py's class comes next
            except MaxConnectionsError:
                continue

    async def release(self: Any, connection: Any) -> None:
        """Take a connection back, and wake the caller that has waited longest."""
        await super().release(connection)  # type: ignore[misc] # redis-py's class comes next
        if self._queue:
            self._note_answer(connection)
            self._wake_next()

    def close_sockets(self: Any) -> None:
        """Close the sockets, when the loop is closed and nothing can be awaited any more."""
        for connection in (*self._available_connections, *self._in_use_connections):
            writer = connection._writer  # noqa: SLF001 - redis-py closes in the loop only
            connection._reader = connection._writer = None  # noqa: SLF001 - as above
            found = writer and writer.transport.get_extra_info("socket")
            # asyncio hands out a wrapper that cannot be closed.
            socket = getattr(found, "_sock", None)
            if socket is not None:
                socket.close()

    async def _wait_for_turn(self: Any) -> None:
        turn, patience = asyncio.get_running_loop().create_future(), _Patience(self)
        self._queue.append(turn)
        try:
            while not self.can_get_connection():
                await asyncio.wait([turn], timeout=patience.left())
                if not turn.done():
                    patience.check()
                elif not self.can_get_connection():
                    # A caller that came later was faster; this one goes on at the head of the queue.
                    turn = asyncio.get_running_loop().create_future()
                    self._queue.appendleft(turn)
        except BaseException:
            # This caller may have been woken, and leaves without a connection: the next one must not wait for nothing.
            if self.can_get_connection():
                self._wake_next()
            raise
        finally:
            turn.cancel()

    def _wake_next(self: Any) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return


class WaitingPool(_Waiting, redis.ConnectionPool):
    """A pool of connections to one server."""

    def __init__(self, connection_class: type = redis.Connection, **options: Any) -> None:
        self._fresh_s = FRESH_S if "retry" in options and options["retry"].get_retries() else 0.0
        super().__init__(connection_class=BOUNDED[connection_class], **options)

    def pop_idle(self: Any) -> Any:
        """Return an idle connection that is in order, as `get_connection` does; None where that has to look further.

        What redis-py counts for OpenTelemetry with each connection that it hands out is not counted.
        """
        self._checkpid()
        with self._lock:
            if not self._available_connections:
                return None
            connection = self._available_connections.pop()
            self._in_use_connections.add(connection)
        try:
            is_fresh = time.monotonic() - connection.idle_since < self._fresh_s
            if connection.is_connected and (is_fresh or not connection.can_read()):
                return connection
            connection.disconnect()
        except (redis.ConnectionError, redis.TimeoutError, OSError):
            connection.disconnect()
        except BaseException:
            # The end of a handler may reach its thread here: a connection that is not given back is lost to the pool.
            connection.disconnect()
            self.push_idle(connection)
            raise
        # Closed by the server, which redis-py 8.0 would not see, or never connected: `get_connection` connects it.
        self.push_idle(connection)
        return None

    def push_idle(self: Any, connection: Any) -> None:
        """Take a connection of `pop_idle` back, as `release` does."""
        self._checkpid()
        with self._lock:
            if connection not in self._in_use_connections:
                # It was taken before a fork.
                return
            self._in_use_connections.remove(connection)
            # A server that moves tells its clients to connect anew.
            if connection.should_reconnect():
                connection.disconnect()
            connection.idle_since = time.monotonic()
            self._available_connections.append(connection)
            # Credentials that have changed meanwhile are sent by a listener of this event.
            if connection._re_auth_token is not None:  # noqa: SLF001 - what the listener looks at
                self._event_dispatcher.dispatch(AfterConnectionReleasedEvent(connection))
        if self._queue:
            self._note_answer(connection)
            self._wake_next()


class WaitingSentinelPool(_Waiting, redis.sentinel.SentinelConnectionPool):
    """A pool of connections to the master that Sentinels name."""


class AsyncWaitingPool(_AsyncWaiting, redis.asyncio.ConnectionPool):
    """A pool of connections to one server, for one event loop."""

    def __init__(self, connection_class: type = redis.asyncio.Connection, **options: Any) -> None:
        super().__init__(connection_class=PACKED[connection_class], **options)

    async def pop_idle(self: Any) -> Any:
        """Return an idle connection that is in order, as that of `WaitingPool` does; nothing is waited for."""
        if not self._available_connections:
            return None
        connection = self.get_available_connection()
        try:
            if connection.is_connected and not await connection.can_read():
                return connection
        except (redis.ConnectionError, redis.TimeoutError, OSError):
            await connection.disconnect(nowait=True)
        await self.push_idle(connection)
        return None

    async def push_idle(self: Any, connection: Any) -> None:
        """Take a connection of `pop_idle` back, as `release` does."""
        self._in_use_connections.remove(connection)
        # A server that moves tells its clients to connect anew.
        if connection.should_reconnect():
            await connection.disconnect(nowait=True)
        self._available_connections.append(connection)
        # Credentials that have changed meanwhile are sent by a listener of this event.
        if connection._re_auth_token is not None:  # noqa: SLF001 - what the listener looks at
            await self._event_dispatcher.dispatch_async(AsyncAfterConnectionReleasedEvent(connection))
        if self._queue:
            self._note_answer(connection)
            self._wake_next()


class AsyncWaitingSentinelPool(_AsyncWaiting, redis.asyncio.sentinel.SentinelConnectionPool):
    """A pool of connections to the master that Sentinels name, for one event loop."""


def reserve(client: redis.Redis, connections: int) -> None:
    """Enlarge the pool of a client for connections that are in use for long; a negative number takes that back."""
    pool = client.connection_pool
    # The pool of an in-memory server is not bounded.
    if isinstance(pool, _Waiting):
        pool.enlarge(connections)
