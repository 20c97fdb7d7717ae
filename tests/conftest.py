"""Fixtures of all rings: a database on each kind of server, a frozen clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from jobistemer.store.connection import Server
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys
from jobistemer.store.namespace import Namespace
from tests.support.clocks import FrozenClock
from tests.support.servers import available, emptied, is_clustered, running

Opening = Callable[[], Database]


@pytest.fixture(scope="session", params=available())
def server_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running server of each kind, without persistence."""
    with running(request.param, tmp_path_factory.mktemp(request.param)) as url:
        yield url


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def open_database(server_url: str, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opening]:
    """Opens a connection of its own to the one empty shard: for a zombie, or a second ticker.

    On a cluster it is one shard of many, and everything that these tests make goes there, for them to look at.
    """
    servers = []

    def opened() -> Database:
        keys = Keys("test", 0)
        servers.append(Server(server_url))
        return Database(servers[-1].client(keys.tag), keys, clock, server_url)

    # Without homes everything is where its id hashes to, which is then the one shard.
    emptied(server_url, homes=False)
    if is_clustered(server_url):
        monkeypatch.setattr(Namespace, "for_id", lambda namespace, _: namespace.shards[0])
    yield opened
    for server in servers:
        server.close()


@pytest.fixture
def database(open_database: Opening) -> Database:
    """An empty shard."""
    return open_database()
