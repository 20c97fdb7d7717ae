"""An app of a test's own, and a worker that works off what is enqueued."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jobistemer import Jobistemer
from jobistemer.core.settings import TickerSettings, WorkerSettings
from jobistemer.runtime.repeat import start_thread
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.store.database import Database
from jobistemer.ticker import Ticker
from jobistemer.worker import Worker
from tests.support.servers import SHARDS, empty_server, is_clustered, shard_of_test


def empty_app(url: str, **settings: Any) -> Jobistemer:
    """An app on an empty server."""
    one_of_many = is_clustered(url) and "shards" not in settings
    empty_server(url, settings.get("shards", SHARDS), homes=not one_of_many)
    app = Jobistemer(url, namespace="test", **settings)
    if one_of_many:
        # One shard of many, for tests that look at what is in it.
        app.namespace.for_id = lambda _: shard_of(app)  # type: ignore[method-assign]
    return app


def shard_of(app: Jobistemer) -> Database:
    """Where everything is that such an app makes."""
    return app.namespace.shards[shard_of_test() if app.namespace.cluster else 0]


def drain_queues(app: Jobistemer, **settings: Any) -> Worker:
    """Run a worker until the queues are empty and nothing is in flight."""
    worker = Worker(app.namespace, app.handlers, WorkerSettings(**{"burst": True, **settings}), app.plugins)
    worker.run(Shutdown())
    return worker


@contextmanager
def running_worker(app: Jobistemer, **settings: Any) -> Iterator[Shutdown]:
    """A worker that goes on while the context lasts; it is then stopped in order."""
    shutdown = Shutdown()
    settings = {"beat_s": 0.1, "grace_s": 5.0, **settings}
    worker = Worker(app.namespace, app.handlers, WorkerSettings(**settings), app.plugins)
    thread = start_thread(lambda: worker.run(shutdown), "worker of the test")
    try:
        yield shutdown
    finally:
        shutdown.request()
        thread.join(60)
        assert not thread.is_alive()


@contextmanager
def running_ticker(app: Jobistemer) -> Iterator[None]:
    """A ticker while the context lasts."""
    shutdown = Shutdown()
    thread = start_thread(lambda: Ticker(app.namespace, TickerSettings()).run(shutdown), "ticker of the test")
    try:
        yield
    finally:
        shutdown.request()
        thread.join(60)
        assert not thread.is_alive()
