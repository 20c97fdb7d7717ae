"""Fixtures of all rings: a database on each kind of server, a frozen clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from jobistemer.store.connection import connect
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys
from tests.support.clocks import FrozenClock
from tests.support.servers import available, running

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
def open_database(server_url: str, clock: FrozenClock) -> Iterator[Opening]:
    """Opens a connection of its own to the one empty shard: for a zombie, or a second ticker."""
    clients = []

    def opened() -> Database:
        clients.append(connect(server_url))
        return Database(clients[-1], Keys("test", 0), clock, server_url)

    opened().client.flushall()
    yield opened
    for client in clients:
        client.close()


@pytest.fixture
def database(open_database: Opening) -> Database:
    """An empty shard."""
    return open_database()
