"""A command line on an in-memory server, with an app beside it that has two jobs and a task."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from jobistemer import NO_RETRIES, Jobistemer
from jobistemer.cli import main
from jobistemer.store.database import Database
from tests.support.lifecycle import build_ended, fetch_one, finish

Cli = Callable[..., Result]


@pytest.fixture
def url(monkeypatch) -> str:
    """An empty in-memory server of this test's own, which every command finds in its environment."""
    own = f"fake://{uuid4()}"
    monkeypatch.setenv("JOBISTEMER_URL", own)
    monkeypatch.delenv("JOBISTEMER_NAMESPACE", raising=False)
    monkeypatch.delenv("JOBISTEMER_APP", raising=False)
    return own


@pytest.fixture
def cli(url) -> Cli:
    """`cli("job", "list")` runs `jobistemer job list`."""
    return lambda *arguments, **options: CliRunner().invoke(main, [str(each) for each in arguments], **options)


@pytest.fixture
def app(url) -> Jobistemer:
    app = Jobistemer(url)

    @app.job("0 2 * * *", name="nightly", description="every night")
    def nightly() -> None: ...

    @app.job("0 0 1 1 *", name="yearly", overlap="queue")
    def yearly() -> None: ...

    @app.task(retry=NO_RETRIES)
    def greet(name: str = "") -> str:
        return f"hello {name}"

    return app


@pytest.fixture
def shard(app) -> Database:
    return app.namespace.shards[0]


@pytest.fixture
def dead(app, shard) -> Callable[..., str]:
    """`dead("why")` enqueues a run of `greet` that fails for good."""

    def die(error: str = "ValueError: no") -> str:
        run = app.enqueue("greet", {"name": "ann"})
        finish(shard, build_ended(fetch_one(shard), "failed", error=error))
        return run.id

    return die
