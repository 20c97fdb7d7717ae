"""A producer compares the identity of a shard when it has not heard of the server for a while."""

import asyncio
import time

import pytest

from jobistemer import Jobistemer
from jobistemer.app.producer import LONG_SILENCE_S
from jobistemer.store.clock import ServerClock
from jobistemer.store.database import CLOCK_MAX_AGE_S, compare_identity
from jobistemer.store.sleeper import Sleeper


class Silence:
    """A monotonic clock that a test moves ahead: so long the producer has sent nothing."""

    ahead_s = 0.0

    def __call__(self):
        return time.monotonic() + self.ahead_s


@pytest.fixture
def silence():
    return Silence()


@pytest.fixture
def app(server_url, database, silence):
    """A producer of the namespace of the database, on a clock that the test moves."""
    app = Jobistemer(server_url, namespace=database.keys.namespace)
    with app.namespace.moved_to(server_url, ServerClock(silence), Sleeper()):
        yield app


def call_plain(app):
    return app.enqueue("work")


def call_many(app):
    return next(iter(app.enqueue_many([app.request("work")])))


def call_awaited(app):
    async def call():
        try:
            return await app.enqueue_async("work")
        finally:
            await app.namespace.server.aclose()

    return asyncio.run(call())


@pytest.mark.parametrize("silent_s", [CLOCK_MAX_AGE_S + 1, LONG_SILENCE_S + 1])
@pytest.mark.parametrize("call", [call_plain, call_many, call_awaited])
def test_a_server_that_was_emptied_is_named_once_and_calls_go_on(app, database, silence, caplog, call, silent_s):
    def lines():
        return [each.getMessage() for each in caplog.records if "was emptied" in each.getMessage()]

    for shard in app.namespace.shards:
        database.client.set(shard.keys.identity, "one")
    for shard in app.namespace.shards:
        compare_identity(shard)
    silence.ahead_s += silent_s
    call(app)
    assert lines() == []
    for shard in app.namespace.shards:
        database.client.set(shard.keys.identity, "two")
    silence.ahead_s += silent_s
    call(app)
    silence.ahead_s += silent_s
    run = call(app)
    (line,) = lines() if len(app.namespace.shards) == 1 else lines()[:1]
    assert line.startswith(f"{{{database.keys.namespace}:")
    assert run.state() == "pending"
