"""From a URL to a client.

redis://host:6379/0      rediss:// for TLS, unix:///path for a socket
redis+sentinel://h1:26379,h2:26379/mymaster/0
redis+cluster://h1:7000,h2:7000   rediss+cluster:// for TLS; a few of the nodes are enough
fake://name              an in-memory server inside this process, for unit tests
"""

from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import redis
import redis.asyncio
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from jobistemer.core.errors import Misconfigured
from jobistemer.store import cluster
from jobistemer.store.cluster import Cluster, slot_of
from jobistemer.store.slots import AsyncSlotClient, SlotClient

DEFAULT_URL = "redis://localhost:6379/0"
BLOCK_MS = 2_000
"""The longest block of a read; the socket's time-out must be longer, or the client breaks the read off."""

_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", *cluster.SCHEMES, "fake")
_OPTIONS: dict[str, Any] = {
    "protocol": 2,
    "socket_timeout": 5.0,
    "socket_connect_timeout": 5.0,
    "socket_keepalive": True,
    "client_name": "jobistemer",
}


def redacted(url: str) -> str:
    """The URL with its password hidden, fit for logs and messages."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)


class Server:
    """What a URL leads to: one server, or a cluster. Raises Misconfigured for a URL that cannot be."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.cluster = _cluster(url) if _scheme(url) in cluster.SCHEMES else None
        self._client = None if self.cluster else connect(url)
        self._async: WeakKeyDictionary[asyncio.AbstractEventLoop, redis.asyncio.Redis] = WeakKeyDictionary()

    def client(self, tag: str) -> redis.Redis:
        """A client for the keys that carry a hash tag; no connection is made yet."""
        if self.cluster is not None:
            return SlotClient(self.cluster, slot_of(tag))
        assert self._client is not None  # noqa: S101 - either the one or the other
        return self._client

    def async_client(self, tag: str) -> redis.asyncio.Redis | AsyncSlotClient:
        """The same for the running event loop."""
        if self.cluster is not None:
            return AsyncSlotClient(self.cluster, slot_of(tag))
        loop = asyncio.get_running_loop()
        client = self._async.get(loop)
        if client is None:
            client = self._async[loop] = connect_async(self._url)
        return client

    def close(self) -> None:
        """Close the connections; the next use opens new ones."""
        (self.cluster or self.client("")).close()


def connect(url: str) -> redis.Redis:
    """A synchronous client for `url`; no connection is made yet. Raises Misconfigured for a URL that cannot be."""
    return _prepared(_client(url))


def _cluster(url: str) -> Cluster:
    try:
        return Cluster(url, _OPTIONS, _prepared)
    except (ValueError, TypeError) as error:
        raise Misconfigured(f"URL {redacted(url)!r} cannot be used: {error}") from error


def _prepared(client: redis.Redis) -> redis.Redis:
    # Commands are sent as they are written, so redis-py cannot know which form of XPENDING was asked, and its reading
    # of the short form breaks on answers of the long one.
    parse = client.response_callbacks["XPENDING"]
    client.set_response_callback("XPENDING", lambda answer, **form: parse(answer, **form) if form else answer)
    return client


def _client(url: str) -> redis.Redis:
    match _scheme(url):
        case "fake":
            return _fake(url)
        case "redis+sentinel":
            return _sentinel(url)
        case _:
            retry = Retry(ExponentialWithJitterBackoff(cap=1, base=0.02), 3)
            client: redis.Redis = _parsed(redis.Redis.from_url, url, retry=retry)
            return client


def connect_async(url: str) -> redis.asyncio.Redis:
    """A client for asyncio; it belongs to the event loop that first uses it."""
    from redis.asyncio.retry import Retry as AsyncRetry  # noqa: PLC0415 - same name as the synchronous one

    if _scheme(url) == "fake":
        import fakeredis  # noqa: PLC0415 - an extra, needed by tests only

        fake: redis.asyncio.Redis = fakeredis.FakeAsyncRedis(server=_fake_server(url), protocol=2)
        return fake
    retry = AsyncRetry(ExponentialWithJitterBackoff(cap=1, base=0.02), 3)
    client: redis.asyncio.Redis = _parsed(redis.asyncio.Redis.from_url, url, retry=retry)
    return client


def _scheme(url: str) -> str:
    scheme = urlsplit(url).scheme
    if scheme not in _SCHEMES:
        raise Misconfigured(f"URL {redacted(url)!r} has scheme {scheme!r}; allowed are {', '.join(_SCHEMES)}")
    return scheme


def _parsed(factory: Any, url: str, **options: Any) -> Any:
    try:
        return factory(url, **_OPTIONS, **options)
    except (ValueError, TypeError) as error:
        raise Misconfigured(f"URL {redacted(url)!r} cannot be used: {error}") from error


def _sentinel(url: str) -> redis.Redis:
    parts = urlsplit(url)
    hosts, (service, _, db) = parts.netloc.rpartition("@")[2], parts.path.strip("/").partition("/")
    if not hosts or not service:
        raise Misconfigured(f"URL {redacted(url)!r} must look like redis+sentinel://host:26379,host2:26379/service/0")
    nodes = [(host, int(port or 26379)) for host, _, port in (node.partition(":") for node in hosts.split(","))]
    login = {"username": parts.username, "password": parts.password} if parts.password else {}
    client: redis.Redis = Sentinel(nodes, socket_timeout=2.0).master_for(service, db=int(db or 0), **login, **_OPTIONS)
    return client


def _fake(url: str) -> redis.Redis:
    import fakeredis  # noqa: PLC0415 - an extra, needed by tests only

    client: redis.Redis = fakeredis.FakeRedis(server=_fake_server(url), protocol=2)
    return client


_fake_servers: dict[str, Any] = {}


def _fake_server(url: str) -> Any:
    import fakeredis  # noqa: PLC0415 - an extra, needed by tests only

    return _fake_servers.setdefault(url, fakeredis.FakeServer(version=(7, 0)))
