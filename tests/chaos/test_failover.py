"""The master dies and Sentinel makes its replica the master: nobody ends, and what was acknowledged is done."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from jobistemer import Jobistemer
from jobistemer.core.errors import NotConnected
from jobistemer.store.database import Database
from tests.chaos.effect_check import check_effects
from tests.chaos.sentinels import SentinelDeployment
from tests.chaos.system import ChaosSystem, at_rest, running_system, wait_until
from tests.support.shard_state import find_leaks

pytestmark = [pytest.mark.process, pytest.mark.slow]

JOBS = 20
GIVEN_UP_S = 7.0
"""The client waits five seconds for an answer."""


def acknowledged(story: ChaosSystem) -> list[str]:
    notes: Path = story.folder / "acknowledged"
    # The last line may be half written.
    return notes.read_text().split("\n")[:-1] if notes.exists() else []


def occurrences(database: Database) -> int:
    return sum(database.client.zcard(key) for key in database.client.scan_iter(f"{database.keys.tag}:history:*"))


def fail_over(deployment: SentinelDeployment) -> None:
    """Kill the master, wait until the replica is named, and bring the old one back as its replica."""
    old = deployment.kill_master()
    wait_until("the Sentinels name the other one", lambda: deployment.master() != old)
    deployment.restart(old)
    wait_until("the old master follows the new one", deployment.followed)


def go_on(story: ChaosSystem) -> None:
    """Wait until everybody has visibly worked since now."""
    database, before, calls = story.database(), occurrences(story.database()), len(acknowledged(story))
    wait_until("instants are decided", lambda: occurrences(database) >= before + 2 * JOBS)
    wait_until("calls are acknowledged", lambda: len(acknowledged(story)) >= calls + 20)
    effects = len(story.effects())
    wait_until("work is done", lambda: len(story.effects()) >= effects + JOBS)


def hang(deployment: SentinelDeployment) -> None:
    """Let the master hang until the replica is named and everybody has given it up; it wakes up as a master of its own.

    Whoever still waits for its answer when it wakes up is told that his write is done, and then it is discarded: that
    may be lost, see docs/guarantees.md.
    """
    old, since = deployment.freeze_master(), time.monotonic()
    wait_until("the Sentinels name the other one", lambda: deployment.master() != old)
    wait_until("nobody waits for it any more", lambda: time.monotonic() - since > GIVEN_UP_S)
    deployment.thaw(old)
    wait_until("the old master follows the new one", deployment.followed)


def enqueued(app: Jobistemer, loop: asyncio.Runner, runs: list[Any]) -> bool:
    try:
        runs.append(loop.run(app.enqueue_async("call_async", {})))
    except NotConnected:
        return False
    return True


LONG = pytest.mark.long


@pytest.mark.parametrize(
    "failures", [[fail_over], pytest.param([fail_over] * 5, marks=LONG), pytest.param([hang] * 2, marks=LONG)]
)
def test_after_a_failover_all_goes_on_and_nothing_is_lost(tmp_path, failures):
    # Given a master that writes only while it has a replica, watched by three Sentinels, and a system at work
    deployment = SentinelDeployment(tmp_path, "--min-replicas-to-write", "1", "--min-replicas-max-lag", "2")
    with running_system(tmp_path, deployment, JOBISTEMER_CHAOS_JOBS=str(JOBS)) as story, asyncio.Runner() as loop:
        story.deploy()
        tickers, hands = [story.ticker(), story.ticker()], [story.worker(), story.worker()]
        producer = story.producer(str(tmp_path / "acknowledged"), "0.01")
        here = Jobistemer(deployment.url)
        runs = [loop.run(here.enqueue_async("call_async", {}))]
        wait_until("calls are acknowledged", lambda: len(acknowledged(story)) >= 20)
        go_on(story)

        # When the master is killed, or hangs; more than once in the long forms
        for failure in failures:
            failure(deployment)
            # By the client of before, which finds the new master as soon as the Sentinel that it asks knows it.
            wait_until("a coroutine can enqueue", lambda: enqueued(here, loop, runs))
            go_on(story)

        # Then nobody has ended over it, everything comes to rest, and nothing was lost or done twice unexplained
        assert [process.poll() for process in story.processes] == [None] * 5
        for process in (producer, *tickers):
            process.terminate()
            assert process.wait(timeout=60) == 0
        database = story.database()
        wait_until("nothing waits or runs any more", lambda: at_rest(database))
        for hand in hands:
            hand.terminate()
        assert [hand.wait(timeout=60) for hand in hands] == [0, 0]
        verdict = check_effects(database, story.effects(), [*acknowledged(story), *(run.id for run in runs)])
        assert (verdict.lost, verdict.duplicated, verdict.unexpected) == ([], [], [])
        assert find_leaks(database) == {}
        assert story.logged_faults() == []
