"""What was used once leaves nothing behind after its time: all keys are looked at after much has come and gone.

`JOBISTEMER_TEST_CHURN=10000 pytest tests/integration/ticker/test_leftovers.py` does so with 10,000 of each kind.
"""

from __future__ import annotations

import os

import pytest

from jobistemer import NO_RETRIES, Concurrency, Context, Delays
from jobistemer.store.calls import holds
from jobistemer.ticker.sweep import Sweeper
from tests.support.apps import drain_queues, empty_app, shard_of
from tests.support.servers import is_clustered


@pytest.fixture(autouse=True)
def _one_server(server_url):
    if is_clustered(server_url):
        pytest.skip("it scans the keys of one server")


COUNT = int(os.environ.get("JOBISTEMER_TEST_CHURN", "60"))
KEPT_S = 60
pytestmark = [pytest.mark.behaviour, pytest.mark.timeout(3600 if COUNT > 1000 else 120)]


@pytest.fixture
def app(server_url):
    app = empty_app(server_url)

    @app.task(retry=Delays((0, 0)), retention_s=KEPT_S, dead_retention_s=KEPT_S)
    def third_time(ctx: Context) -> None:
        ctx.log("a line")
        if ctx.attempt < 2:
            raise OSError("not yet")

    @app.task(name="report", retention_s=KEPT_S)
    def report(letter: dict) -> None: ...

    @app.task(retry=NO_RETRIES, retention_s=KEPT_S, dead_retention_s=KEPT_S, on_dead="report")
    def dies() -> None:
        raise ValueError("no")

    @app.task(retention_s=KEPT_S, limits=[Concurrency(3)])
    def limited() -> None: ...

    return app


def churn(app):
    shard = shard_of(app)
    for name in ("third_time", "dies", "limited"):
        app.enqueue_many([app.request(name, {}) for _ in range(COUNT)])
    for number in range(COUNT):
        app.enqueue("limited", {}, unique=f"order-{number}")
        app.enqueue("limited", {}, queue=f"once-{number}")
        app.queues.purge(f"once-{number}")
        holds.put_hold([shard], f"hold-{number}", shard.clock.now_ms() + 1)
        app.enqueue("limited", {}, delay=3600).cancel()
    drain_queues(app)


def test_nothing_stays_of_what_was_used_once(app):
    churn(app)
    shard = shard_of(app)
    while shard.clock.now_ms() <= max(
        (end for _, end in shard.client.zrange(shard.keys.holds, 0, -1, withscores=True)), default=0
    ):
        shard.read_clock()
    sweeper = Sweeper(shard)
    sweeper.sweep()
    sweeper.sweep()
    kept = {}
    for key in shard.client.keys("*"):
        left_ms = shard.client.pttl(key)
        if left_ms == -1 or left_ms > KEPT_S * 1000 + 1:
            kept[key.decode()] = left_ms
    # The time at which each dead run goes is listed until then.
    assert shard.client.zcount(shard.keys.dead, "-inf", shard.clock.now_ms() + KEPT_S * 1000) == shard.client.zcard(
        shard.keys.dead
    )
    kept.pop(shard.keys.dead, None)
    # The latest thousand actions of people are on record for good.
    kept.pop(f"{shard.keys.tag}:changes", None)
    # The identity of the shard, by which a process sees that its server was emptied.
    kept.pop(f"{shard.keys.tag}:identity", None)
    # The counts of a day, which go after their own time.
    kept = {name: left for name, left in kept.items() if left == -1 or not name.startswith(shard.keys.outcomes_prefix)}
    # The lists of ended runs, by which people find them, hold about a thousand each.
    for name in [name for name in kept if name.startswith(f"{shard.keys.tag}:ended:")]:
        assert shard.client.llen(name) <= 1_100
        kept.pop(name)
    assert {name for name in kept if not name.endswith(":settings")} == set()
