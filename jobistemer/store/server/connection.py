"""Clients for the URLs of servers.

redis://host:6379/0      rediss:// for TLS, unix:///path for a socket
redis+sentinel://h1:26379,h2:26379/mymaster/0      rediss+sentinel:// for TLS
redis+cluster://h1:7000,h2:7000      rediss+cluster:// for TLS; a few of the nodes are enough
fake://name              an in-memory server inside this process, for unit tests
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import finalize

import redis
import redis.asyncio
import redis.asyncio.sentinel
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.connection import parse_url
from redis.sentinel import Sentinel

from jobistemer.core.errors import Misconfigured
from jobistemer.store.server.cluster_client import AsyncSlotClient, SlotClient
from jobistemer.store.server.cluster_map import Cluster, hash_slot
from jobistemer.store.server.deadline import AsyncBoundedRetry, BoundedRetry
from jobistemer.store.server.loop_clients import LoopClients
from jobistemer.store.server.pool import (
    MAX_CONNECTIONS,
    AsyncWaitingPool,
    AsyncWaitingSentinelPool,
    WaitingPool,
    WaitingSentinelPool,
)
from jobistemer.store.server.sentinel import (
    AsyncMasterConnection,
    AsyncMasterTlsConnection,
    MasterConnection,
    MasterTlsConnection,
)
from jobistemer.store.server.shared_calls import SharedCalls
from jobistemer.store.server.urls import (
    CLUSTER_SCHEMES,
    DEFAULT_URL,
    SENTINEL_SCHEMES,
    check_url,
    parse_nodes,
    parse_sentinels,
    redact_url,
)

__all__ = ["BLOCK_MS", "DEFAULT_URL", "Server", "connect", "connect_async", "redact_url"]

BLOCK_MS = 2_000
"""The longest block of a read; the socket's time-out must be longer, or the client breaks the read off."""

LONGEST_PAUSE_S, PAUSE_PER_WAITING_S = 0.1, 0.0001
"""How long one of several that wait for results waits before it reads again: at least, and for each of them."""

_OPTIONS: dict[str, Any] = {
    "protocol": 2,
    "socket_timeout": 5.0,
    "socket_connect_timeout": 5.0,
    "client_name": "jobistemer",
    # A client that introduces its library as well needs one more permission, which older servers do not know.
    "driver_info": None,
    "max_connections": MAX_CONNECTIONS,
}
# An in-memory server has no connections that could run out.
_FAKE: dict[str, Any] = {"protocol": 2, "max_connections": 1_000_000}
_TCP: dict[str, Any] = {"socket_keepalive": True}
# The next Sentinel is the second try.
_SENTINEL_OPTIONS: dict[str, Any] = {**_TCP, "socket_timeout": 1.0, "socket_connect_timeout": 1.0, "driver_info": None}


class _LoopServer:
    """The server for one event loop.

    client: to the server; None for a cluster, which has one for each shard. shared: the calls of each shard, by its
    hash tag. waiting: how many coroutines wait for results now.
    """

    def __init__(self, client: Any) -> None:
        self.client = client
        self.shared: dict[str, SharedCalls] = {}
        self.waiting = 0

    async def aclose(self) -> None:
        """Close the connections."""
        if self.client is not None:
            await self.client.aclose()

    def abandon(self) -> None:
        """Close the sockets, after the loop was closed."""
        # The pool of an in-memory server has no sockets.
        if self.client is not None and (close := getattr(self.client.connection_pool, "close_sockets", None)):
            close()


class Server:
    """The server of a URL: one server, or a cluster. Raises Misconfigured for a URL that cannot be used."""

    def __init__(self, url: str) -> None:
        self._url = url
        cluster = self.cluster = _create_cluster(url) if check_url(url).scheme in CLUSTER_SCHEMES else None
        # Of a cluster each hash tag has its own client, of one server all share one.
        self._client_of: Callable[[str], redis.Redis]
        if cluster is None:
            client = connect(url)
            self._client_of = lambda _: client
        else:
            self._client_of = lambda tag: SlotClient(cluster, hash_slot(tag))
        self._of_loops: LoopClients[_LoopServer] = LoopClients()

    def client(self, tag: str) -> redis.Redis:
        """Return a client for the keys with a hash tag; no connection is made yet."""
        return self._client_of(tag)

    def async_client(self, tag: str) -> redis.asyncio.Redis | AsyncSlotClient:
        """Return a client for the keys with a hash tag, for the running event loop."""
        if self.cluster is not None:
            return AsyncSlotClient(self.cluster, hash_slot(tag))
        client: redis.asyncio.Redis = self.of_loop().client
        return client

    def shared_calls(self, tag: str) -> SharedCalls:
        """Return what the coroutines of the running event loop send together, for the keys with a hash tag."""
        shared = self.of_loop().shared
        if tag not in shared:
            shared[tag] = SharedCalls(self.async_client(tag))
        return shared[tag]

    def of_loop(self) -> _LoopServer:
        """Return what belongs to the running event loop."""
        return self._of_loops.get("", lambda: _LoopServer(None if self.cluster else connect_async(self._url)))

    @contextmanager
    def waiting_for_result(self) -> Iterator[Callable[[], float]]:
        """Count a coroutine among those of its loop that wait for results.

        Gives the longest pause (s) between two reads of one of them, which grows with their number: together they take
        a part of their loop and of the server, however many they are.
        """
        of_loop = self.of_loop()
        of_loop.waiting += 1
        try:
            yield lambda: max(LONGEST_PAUSE_S, of_loop.waiting * PAUSE_PER_WAITING_S)
        finally:
            of_loop.waiting -= 1

    def close(self) -> None:
        """Close the connections; the next use opens new ones."""
        (self.cluster or self.client("")).close()
        self._of_loops.sweep()

    async def aclose(self) -> None:
        """Close the connections of the running event loop; the next use opens new ones."""
        await self._of_loops.aclose()
        if self.cluster is not None:
            await self.cluster.close_async()


def connect(url: str) -> redis.Redis:
    """Return a client for `url`; no connection is made yet. Raises Misconfigured for a URL that cannot be used."""
    return _prepare(_create_client(url))


def _prepare(client: redis.Redis) -> redis.Redis:
    # XPENDING has two forms. Commands are sent as they are written here, so redis-py does not know which form was sent,
    # takes it for the short one, and fails on the answer to the long one.
    parse = client.response_callbacks["XPENDING"]
    client.set_response_callback("XPENDING", lambda answer, **form: parse(answer, **form) if form else answer)
    if isinstance(client.connection_pool, WaitingPool | WaitingSentinelPool):
        # At the end of the program too: a socket that is left open there is a warning in development mode. Of the
        # client and not of its owner, which may be dropped while another thread still uses the client.
        finalize(client, client.connection_pool.disconnect)
    return client


def connect_async(url: str) -> redis.asyncio.Redis:
    """Return a client for asyncio; it belongs to the event loop that first uses it."""
    scheme = check_url(url).scheme
    if scheme == "fake":
        fake: redis.asyncio.Redis = _import_fakeredis().FakeAsyncRedis(server=_get_fake_server(url), **_FAKE)
        return fake
    retry = AsyncBoundedRetry(_create_backoff(), 3)
    if scheme in SENTINEL_SCHEMES:
        patience = AsyncBoundedRetry(NoBackoff(), 0)
        kind = AsyncMasterTlsConnection if scheme.startswith("rediss") else AsyncMasterConnection
        behind: redis.asyncio.Redis = _create_master_client(
            redis.asyncio.sentinel.Sentinel,
            url,
            patience,
            {"retry": retry, "connection_class": kind, "connection_pool_class": AsyncWaitingSentinelPool},
        )
        return behind
    return redis.asyncio.Redis.from_pool(_create_from_url(AsyncWaitingPool.from_url, url, retry=retry))


def _create_client(url: str) -> redis.Redis:
    scheme = check_url(url).scheme
    if scheme == "fake":
        return _create_fake_client(url)
    retry = BoundedRetry(_create_backoff(), 3)
    if scheme in SENTINEL_SCHEMES:
        kind = MasterTlsConnection if scheme.startswith("rediss") else MasterConnection
        behind: redis.Redis = _create_master_client(
            Sentinel,
            url,
            BoundedRetry(NoBackoff(), 0),
            {"retry": retry, "connection_class": kind, "connection_pool_class": WaitingSentinelPool},
        )
        return behind
    return redis.Redis.from_pool(_create_from_url(WaitingPool.from_url, url, retry=retry))


def _create_backoff() -> ExponentialWithJitterBackoff:
    return ExponentialWithJitterBackoff(cap=1, base=0.02)


def _create_from_url(factory: Any, url: str, **options: Any) -> Any:
    tcp = {} if url.startswith("unix:") else _TCP
    try:
        return factory(url, **_OPTIONS, **tcp, **options)
    except (ValueError, TypeError) as error:
        raise Misconfigured(f"URL {redact_url(url)!r} cannot be used: {error}") from error


def _create_master_client(sentinel: Any, url: str, patience: Any, kinds: dict[str, Any]) -> Any:
    """Create a client of the master that the Sentinels name; each new connection asks them again."""
    parts = check_url(url)
    nodes, service, db = parse_sentinels(parts)
    # The Sentinels name the host of the master; the rest of the URL is read like that of one server.
    at = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    options = _create_from_url(lambda plain, **_: parse_url(plain), f"redis://{at}master/{db}?{parts.query}")
    own_login = {name: options.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    del options["host"]
    tls = {name: value for name, value in options.items() if name.startswith("ssl_")}
    asking = {**_SENTINEL_OPTIONS, **own_login, **tls, "ssl": parts.scheme == "rediss+sentinel", "retry": patience}
    named = sentinel(nodes, sentinel_kwargs=asking)
    return named.master_for(service, **{**_OPTIONS, **_TCP, **options, **kinds})


def _create_cluster(url: str) -> Cluster:
    """Create the map of a cluster. The cluster names its nodes; the rest of the URL is read like that of one server."""
    parts = check_url(url)
    nodes = parse_nodes(parts)
    at = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    options = _create_from_url(lambda plain, **_: parse_url(plain), f"redis://{at}node/0?{parts.query}")
    for name in ("host", "db"):
        options.pop(name, None)
    return Cluster(nodes, {**_OPTIONS, **_TCP, **options}, _prepare, tls=parts.scheme == "rediss+cluster")


def _create_fake_client(url: str) -> redis.Redis:
    client: redis.Redis = _import_fakeredis().FakeRedis(server=_get_fake_server(url), **_FAKE)
    return client


_fake_servers: dict[str, Any] = {}


def _get_fake_server(url: str) -> Any:
    return _fake_servers.setdefault(url, _import_fakeredis().FakeServer(version=(7, 0)))


def _import_fakeredis() -> Any:
    try:
        import fakeredis  # noqa: PLC0415 - an extra, needed by tests only
    except ModuleNotFoundError as error:
        raise Misconfigured(
            "a fake:// server is for tests and not installed: pip install 'jobistemer[testing]', or name a real one, "
            "such as the embedded one that `jobistemer dev` starts"
        ) from error
    return fakeredis


def forget_fake_server(url: str) -> None:
    """Delete an in-memory server with all its keys."""
    _fake_servers.pop(url, None)
