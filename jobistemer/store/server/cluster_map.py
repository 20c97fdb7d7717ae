"""The map of a cluster: the node that serves each slot, as any node answers, and a client for each node."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.connection import SSLConnection as AsyncTlsConnection
from redis.backoff import ExponentialWithJitterBackoff
from redis.connection import SSLConnection
from redis.crc import key_slot
from redis.exceptions import ClusterDownError

from jobistemer.store.server.deadline import AsyncBoundedRetry, BoundedRetry
from jobistemer.store.server.loop_clients import LoopClients
from jobistemer.store.server.pool import AsyncWaitingPool, WaitingPool

Address = tuple[str, int]
"""Host and port of a node."""

REFRESH_PAUSE_S = 0.1
"""The shortest time between two refreshes, in seconds; a refresh in between uses the answer before."""


class _NodeClient(redis.asyncio.Redis):
    """A client of one node for one event loop."""

    def __init__(self, pool: AsyncWaitingPool) -> None:
        super().__init__(connection_pool=pool)
        self.auto_close_connection_pool = True
        self._pool = pool

    def abandon(self) -> None:
        """Close the sockets, after the loop was closed."""
        self._pool.close_sockets()


class Cluster:
    """The nodes of a cluster and their slots, as far as they are known; shared by all shards of a namespace.

    seeds: the nodes that are asked first; one that answers is enough. options: of every connection. prepare: applied to
    each client. tls: connections are encrypted. No connection is made yet.
    """

    def __init__(
        self,
        seeds: list[Address],
        options: dict[str, Any],
        prepare: Callable[[redis.Redis], redis.Redis],
        *,
        tls: bool = False,
    ) -> None:
        self._seeds, self._options, self._prepare = seeds, options, prepare
        self._kind: dict[str, Any] = {"connection_class": SSLConnection} if tls else {}
        self._async_kind: dict[str, Any] = {"connection_class": AsyncTlsConnection} if tls else {}
        self._clients: dict[Address, redis.Redis] = {}
        self._of_loops: LoopClients[_NodeClient] = LoopClients()
        self._slots: dict[int, Address] = {}
        self._nodes: list[Address] = list(self._seeds)
        self._lock = Lock()
        self._refreshed_at = -REFRESH_PAUSE_S

    def address(self, slot: int) -> Address:
        """Return the node that serves a slot, as far as is known.

        Raises redis.ConnectionError when no node answers, or ClusterDownError when no node serves the slot.
        """
        if slot not in self._slots:
            self.refresh()
        try:
            return self._slots[slot]
        except KeyError:
            raise ClusterDownError(f"slot {slot} is served by no node") from None

    def has_slot(self, slot: int) -> bool:
        """Return whether `address` knows the node of a slot without asking."""
        return slot in self._slots

    def client(self, address: Address) -> redis.Redis:
        """Return the client of one node."""
        found = self._clients.get(address)
        if found is None:
            # One more try, as the server may have closed an idle connection. None after a timeout: by then another node
            # may have the slots of a node that hangs.
            retry = BoundedRetry(ExponentialWithJitterBackoff(cap=1, base=0.02), 1, (redis.ConnectionError,))
            host, port = address
            pool = WaitingPool(host=host, port=port, retry=retry, **self._kind, **self._options)
            made = self._prepare(redis.Redis.from_pool(pool))
            found = self._clients.setdefault(address, made)
        return found

    def async_client(self, address: Address) -> redis.asyncio.Redis:
        """Return the client of one node for the running event loop."""

        def create() -> _NodeClient:
            retry = AsyncBoundedRetry(ExponentialWithJitterBackoff(cap=1, base=0.02), 1, (redis.ConnectionError,))
            host, port = address
            pool = AsyncWaitingPool(host=host, port=port, retry=retry, **self._async_kind, **self._options)
            return _NodeClient(pool)

        return self._of_loops.get(address, create)

    def record_move(self, slot: int, address: Address) -> None:
        """Record the node that a slot has moved to, as the node before it answers."""
        self._slots[slot] = address

    def refresh(self, failed: Address | None = None) -> None:
        """Read the map from any node; the one that has just failed is asked last. Raises redis.ConnectionError."""
        with self._lock:
            if time.monotonic() - self._refreshed_at < REFRESH_PAUSE_S:
                return
            slots = _read_slots(*self.ask_any("CLUSTER", "SLOTS", avoid=failed))
            self._slots = slots
            self._nodes = list(dict.fromkeys(slots.values()))
            self._refreshed_at = time.monotonic()

    def ask_any(self, *command: str, avoid: Address | None = None) -> tuple[Any, Address]:
        """Send a command to the nodes in turn. Returns the first answer, and the node that gave it.

        avoid: the node that is asked last. Raises redis.ConnectionError when no node answers, or the error of the last
        node when that node refuses.
        """
        known, failure = dict.fromkeys([*self._nodes, *self._seeds]), None
        for node in sorted(known, key=lambda node: node == avoid):
            try:
                return _execute_raw(self.client(node).connection_pool, command), node
            except redis.RedisError as error:
                failure = error
        if isinstance(failure, redis.ResponseError | redis.AuthenticationError):
            raise failure
        raise redis.ConnectionError(f"no node of the cluster answers, the last said: {failure}") from failure

    def nodes(self) -> list[Address]:
        """Return the nodes that serve slots, as far as is known."""
        return list(self._nodes)

    def close(self) -> None:
        """Close the connections; the next use opens new ones."""
        for client in list(self._clients.values()):
            client.close()
        self._of_loops.sweep()

    async def close_async(self) -> None:
        """Close the connections of the running event loop."""
        await self._of_loops.aclose()


def _execute_raw(pool: Any, command: tuple[str, ...]) -> Any:
    # Not by `execute_command` of redis-py, which turns the answer of CLUSTER SLOTS into another form.
    connection = pool.get_connection()
    try:
        connection.send_command(*command)
        return connection.read_response()
    except BaseException:
        connection.disconnect()
        raise
    finally:
        pool.release(connection)


def _read_slots(answer: list[Any], asked: Address) -> dict[int, Address]:
    found: dict[int, Address] = {}
    for first, last, master, *_ in answer:
        found |= dict.fromkeys(range(first, last + 1), _read_address(master, asked))
    return found


def read_node_addresses(answer: list[Any], asked: Address) -> dict[str, Address]:
    """Return the address of each node by its id, from an answer to `CLUSTER SLOTS`."""
    nodes = (node for _, _, *serving in answer for node in serving)
    return {node[2].decode(): _read_address(node, asked) for node in nodes}


def _read_address(node: list[Any], asked: Address) -> Address:
    # A node that does not know its own host is reached by the one under which it was asked.
    host = node[0].decode() if node[0] else ""
    return asked[0] if host in ("", "?") else host, int(node[1])


def hash_slot(tag: str) -> int:
    """Return the slot of all keys with this hash tag."""
    return int(key_slot(tag.encode()))
