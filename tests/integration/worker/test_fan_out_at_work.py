"""A worker with its threads: what a failed group does to the runs that it has in flight."""

from __future__ import annotations

import asyncio

import pytest

from jobistemer import NO_RETRIES, Context, Jobistemer, Results
from jobistemer.core.errors import RunFailed
from tests.integration.worker.test_worker import at_work
from tests.support.shard_state import find_leaks

PATIENCE_S = 60.0


@pytest.fixture
def app(server_url, database):
    return Jobistemer(server_url, namespace="test")


def test_the_first_failure_cancels_what_runs_and_begins_nothing_more(app, database):
    running, ended, begun = asyncio.Semaphore(0), [], []

    @app.task(retry=NO_RETRIES)
    async def child(n: int) -> None:
        begun.append(n)
        if n == 1:
            await running.acquire()
            raise ValueError("one")
        running.release()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(n)

    @app.task
    def total(results: Results[None]) -> None:
        ended.append("reduced")

    @app.task
    def fan(ctx: Context) -> str:
        return ctx.map(child, range(100), reduce=total)

    with at_work(app):
        reducer = app.run(fan.enqueue().result(PATIENCE_S))
        with pytest.raises(RunFailed, match="100 of 100 runs did not succeed: item 1 dead: ValueError: one"):
            reducer.result(PATIENCE_S)
    assert sorted(ended) == sorted(set(begun) - {1})
    assert len(begun) < 100
    assert find_leaks(database) == {}
