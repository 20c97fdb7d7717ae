"""The master dies and Sentinel makes its replica the master: nobody ends, and what was acknowledged is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobistemer.store.database import Database
from tests.chaos.scene import Scene, at_rest, scene, until
from tests.chaos.sentinels import Deployment
from tests.chaos.verdict import judge
from tests.support.records import leaked

pytestmark = pytest.mark.process

JOBS = 20


def acknowledged(story: Scene) -> list[str]:
    notes: Path = story.folder / "acknowledged"
    # The last line may be half written.
    return notes.read_text().split("\n")[:-1] if notes.exists() else []


def occurrences(database: Database) -> int:
    return sum(database.client.zcard(key) for key in database.client.scan_iter(f"{database.keys.tag}:history:*"))


def fail_over(deployment: Deployment) -> None:
    """Kill the master, wait until the replica is named, and bring the old one back as its replica."""
    old = deployment.kill_master()
    until("the Sentinels name the other one", lambda: deployment.master() != old)
    deployment.restart(old)
    until("the old master follows the new one", deployment.followed)


def go_on(story: Scene) -> None:
    """Wait until everybody has visibly worked since now."""
    database, before, calls = story.database(), occurrences(story.database()), len(acknowledged(story))
    until("instants are decided", lambda: occurrences(database) >= before + 2 * JOBS)
    until("calls are acknowledged", lambda: len(acknowledged(story)) >= calls + 20)
    effects = len(story.effects())
    until("work is done", lambda: len(story.effects()) >= effects + JOBS)


@pytest.mark.parametrize("failovers", [1, pytest.param(5, marks=pytest.mark.long)])
def test_after_a_failover_all_goes_on_and_nothing_is_lost(tmp_path, failovers):
    # Given a master that writes only while it has a replica, watched by three Sentinels, and a system at work
    deployment = Deployment(tmp_path, "--min-replicas-to-write", "1", "--min-replicas-max-lag", "2")
    with scene(tmp_path, deployment, JOBISTEMER_CHAOS_JOBS=str(JOBS)) as story:
        story.deploy()
        tickers, hands = [story.ticker(), story.ticker()], [story.worker(), story.worker()]
        producer = story.producer(str(tmp_path / "acknowledged"), "0.01")
        until("calls are acknowledged", lambda: len(acknowledged(story)) >= 20)
        go_on(story)

        # When the master is killed, again and again in the long form
        for _ in range(failovers):
            fail_over(deployment)
            go_on(story)

        # Then nobody has ended over it, everything comes to rest, and nothing was lost or done twice unexplained
        assert [process.poll() for process in story.processes] == [None] * 5
        for process in (producer, *tickers):
            process.terminate()
            assert process.wait(timeout=30) == 0
        database = story.database()
        until("nothing waits or runs any more", lambda: at_rest(database))
        for hand in hands:
            hand.terminate()
        assert [hand.wait(timeout=30) for hand in hands] == [0, 0]
        verdict = judge(database, story.effects(), acknowledged(story))
        assert (verdict.lost, verdict.duplicated, verdict.unexpected) == ([], [], [])
        assert leaked(database) == {}
        assert story.complaints() == []
