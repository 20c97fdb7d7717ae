"""Each role as a user of its own on a real server, who may do what `jobistemer acl` says and nothing else.

`pytest -p tests.support.roles tests/integration` runs every behaviour test in that way: tickers as ticker, workers as
worker, apps as producer and operator.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import redis

from jobistemer.core.errors import Misconfigured
from jobistemer.store.acl import PRODUCER, build_rule
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.store.scripts import script
from jobistemer.store.server.connection import connect
from jobistemer.ticker.shard_ticker import ShardTicker
from tests.support import step_system
from tests.support.worker_processes import wait_until

SECRET = "s3cret"


def wait_for_scripts(nodes: Iterable[redis.Redis]) -> None:
    """Wait until a worker or a ticker has loaded the scripts of producers, who may not do so themselves."""
    wanted, nodes = [script(name).sha for name in PRODUCER.scripts], list(nodes)
    wait_until(lambda: all(all(node.script_exists(*wanted)) for node in nodes), "the scripts of producers are loaded")


def create_user(admin: redis.Redis, url: str, namespace: str, *roles: str) -> str:
    """Make a user who has these roles, and no other rights; the URL to connect as."""
    return create_user_on([admin], url, namespace, *roles)


def create_user_on(nodes: Iterable[redis.Redis], url: str, namespace: str, *roles: str) -> str:
    """The same on each node of a cluster, which have users of their own."""
    user = "-".join(roles)
    for admin in nodes:
        selectors = not str(admin.info("server")["redis_version"]).startswith("6.")
        rule = build_rule(roles, namespace, selectors=selectors)
        admin.execute_command("ACL", "SETUSER", user, "reset", "on", f">{SECRET}", *rule)
    return url.replace("://", f"://{user}:{SECRET}@")


class RoleDatabase(Database):
    """A database with a user of its own; what a test breaks or replaces of the first one is so here as well."""

    outer: Database | None = None

    def __getattribute__(self, name: str) -> Any:
        outer = object.__getattribute__(self, "outer")
        shared = outer is not None and name in ("call", "call_all", "ask", "ask_all", "clock", "read_clock")
        return (outer.__dict__.get(name) if shared else None) or object.__getattribute__(self, name)


def connect_as(database: Database, *roles: str) -> Database:
    """The same shard, for a user who has these roles; as it is for other servers than plain ones."""
    if not database.address.startswith("redis://"):
        return database
    url = f"redis://127.0.0.1:{database.client.connection_pool.connection_kwargs['port']}/0"
    own = connect(create_user(connect(url), url, database.keys.tag.strip("{}").partition(":")[0], *roles))
    confined = RoleDatabase(own, database.keys, database.clock, database.address)
    confined.outer = database
    return confined


def pytest_configure(config: pytest.Config) -> None:
    """What is made from here on has its role's user; only called when this module is named as a plugin."""
    if not config.pluginmanager.has_plugin("tests.support.roles"):
        raise Misconfigured("name this module with -p tests.support.roles")
    patch = pytest.MonkeyPatch()
    _confine(patch, ShardTicker, "ticker")
    _confine(patch, step_system.StepWorker, "worker")
    original = step_system.open_app

    def open_app(url: str, clock: Any) -> Any:
        app = original(url, clock)
        if url.startswith("redis://"):
            confined = Namespace(create_user(connect(url), url, "test", "producer", "operator"), "test", clock=clock)
            app.namespace = app.producer.namespace = app.control._namespace = confined
        return app

    patch.setattr(step_system, "open_app", open_app)


def _confine(patch: pytest.MonkeyPatch, kind: Any, role: str) -> None:
    original = kind.__init__

    def confined(self: Any, database: Database, *args: Any, **kwargs: Any) -> None:
        original(self, connect_as(database, role), *args, **kwargs)

    patch.setattr(kind, "__init__", confined)
