"""Fixtures of all rings: a database on each kind of server, a frozen clock."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence

import pytest

from jobistemer.app import project
from jobistemer.runtime.log_limit import forget_logged
from jobistemer.store import namespace as namespace_module
from jobistemer.store.clock import Clock
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys
from jobistemer.store.namespace import Namespace
from jobistemer.store.server.connection import Server
from tests.support.clocks import FrozenClock
from tests.support.parts import choose
from tests.support.servers import available, empty_server, folder_of, is_clustered, running, shard_of_test

Opening = Callable[[], Database]


# A shell lets commands in its background ignore Ctrl-C, and they hand that on to each process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Commands draw as these say, and tests read what commands draw.
for variable in ("FORCE_COLOR", "COLUMNS"):
    os.environ.pop(variable, None)
# What collecting leaves behind stays to the end: to look through it again and again is time lost.
gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item], config: pytest.Config) -> None:
    """Choose the tests of this part; `-m behaviour` chooses what is run on each kind of server."""
    for item in items:
        if "server_url" in getattr(item, "fixturenames", ()):
            item.add_marker("behaviour")
    chosen, others = choose(items)
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = chosen


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _traceless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a test leaves in this process is no business of the next one.

    A command tells its app by the environment where to connect, which processes of a later test would inherit; and the
    modules of an app that was written for one test are not those of another one by the same name. A command sets the
    levels of loggers, and a cause that one test has logged is not held back in the next one.
    """
    forget_logged()
    project._told.clear()
    loggers = [logging.getLogger(), logging.getLogger("jobistemer")]
    levels = [each.level for each in loggers]
    environment, modules = dict(os.environ), set(sys.modules)
    folder = str(tmp_path_factory.getbasetemp())
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    for name in [each for each in os.environ if each.startswith("JOBISTEMER_") and each not in environment]:
        del os.environ[name]
    os.environ.update({name: value for name, value in environment.items() if name.startswith("JOBISTEMER_")})
    for name in sys.modules.keys() - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(folder):
            del sys.modules[name]


@pytest.fixture(scope="session", params=available())
def server_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running server of each kind, without persistence."""
    with running(request.param, tmp_path_factory.mktemp(folder_of(request.param))) as url:
        yield url


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def home(server_url: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The number of the shard that everything of a test is on; for what the test makes it is the first of the shards."""
    if not is_clustered(server_url):
        return 0
    chosen, create_shards = shard_of_test(), namespace_module.create_shards

    def chosen_first(namespace: Namespace, clocks: Sequence[Clock]) -> list[Database]:
        shards = create_shards(namespace, clocks)
        return [*shards[chosen:], *shards[:chosen]]

    monkeypatch.setattr(namespace_module, "create_shards", chosen_first)
    monkeypatch.setattr(Namespace, "for_id", lambda namespace, _: namespace.shards[0])
    return chosen


@pytest.fixture
def open_database(server_url: str, clock: FrozenClock, home: int) -> Iterator[Opening]:
    """Opens a connection of its own to the one empty shard: for a zombie, or a second ticker."""
    servers = []

    def opened() -> Database:
        keys = Keys("test", home)
        servers.append(Server(server_url))
        return Database(servers[-1].client(keys.tag), keys, clock, server_url)

    # Without homes everything is where its id hashes to, which is then the one shard.
    empty_server(server_url, homes=False)
    yield opened
    for server in servers:
        server.close()


@pytest.fixture
def database(open_database: Opening) -> Database:
    """An empty shard."""
    return open_database()
