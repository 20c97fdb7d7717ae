"""Slots move and nodes are lost while everybody is at work on a cluster: the others go on, and nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from jobistemer.core import ids
from jobistemer.core.errors import NotConnected
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.store.server.cluster_map import hash_slot
from tests.chaos.effect_check import check_all_effects
from tests.chaos.system import ChaosSystem, at_rest, wait_until
from tests.chaos.test_outages import acknowledged
from tests.support.clusters import LocalCluster, Node, running_cluster
from tests.support.servers import SHARDS, cluster_binary, moving_whole
from tests.support.shard_state import find_leaks

pytestmark = [pytest.mark.process, pytest.mark.slow]

JOBS = 24
HALF_WAY_S = 0.5
"""How long a slot stays half moved: longer than a command waits for it would be 2 s."""


class ClusterStory(ChaosSystem):
    """A scene on a cluster; its jobs are on all shards."""

    def __init__(self, folder, cluster: LocalCluster) -> None:
        super().__init__(folder, cluster, JOBISTEMER_CHAOS_JOBS=str(JOBS))
        self.cluster = cluster
        self.namespace = Namespace(cluster.url, shards=SHARDS)

    @property
    def shards(self) -> list[Database]:
        return self.namespace.shards

    def on(self, *nodes: Node) -> list[Database]:
        """The shards that are on some nodes."""
        return [each for each in self.shards if self.cluster.owner(hash_slot(each.keys.tag)) in nodes]

    def instants(self, shards: list[Database]) -> int:
        """How many instants of the jobs on some shards are on record."""
        jobs = [ids.job_id(f"second_{number}") for number in range(JOBS)]
        try:
            homes = dict(zip(jobs, self.namespace.for_jobs(jobs), strict=True))
            return sum(home.ask("ZCARD", home.keys.history(job)) for job, home in homes.items() if home in shards)
        except NotConnected:
            # Not every node knows yet who has taken over.
            return 0

    def tell(self) -> None:
        """What everybody said last, and who the nodes say they are: for whoever has to find out why it failed."""
        for process in self.processes:
            print(f"-- {process.args}: {process.poll()}", *self.read_log(process).splitlines()[-15:], sep="\n")
        for node in self.cluster.nodes:
            if node.process.poll() is None:
                print(f"-- {node.port}", node.state(), node.ask("CLUSTER", "NODES").decode(), sep="\n")

    def comes_to_rest(self) -> None:
        """Everything ends in order, and nothing was lost, done twice or left over."""
        producer, ticker, *workers = self.processes
        for process in (producer, ticker):
            process.terminate()
        assert [producer.wait(), ticker.wait()] == [0, 0]
        wait_until("nothing waits or runs any more", lambda: all(at_rest(each) for each in self.shards))
        for worker in workers:
            worker.terminate()
        assert [worker.wait() for worker in workers] == [0] * len(workers)
        calls = {run: self.namespace.for_id(run) for run in acknowledged(self)}
        verdict = check_all_effects(self.shards, self.effects(), calls)
        assert (verdict.lost, verdict.duplicated, verdict.unexpected) == ([], [], [])
        assert [find_leaks(each) for each in self.shards] == [{}] * SHARDS
        assert self.logged_faults() == []


@contextmanager
def at_work(folder, replicated: int = 0) -> Iterator[ClusterStory]:
    """A cluster with a producer, a ticker and two workers that have done something on every shard."""
    (folder / "nodes").mkdir()
    with running_cluster(cluster_binary(), folder / "nodes", replicated) as cluster:
        story = ClusterStory(folder, cluster)
        try:
            assert len(story.shards) == SHARDS
            story.deploy()
            story.producer(str(folder / "acknowledged"), "0.005")
            for start in (story.ticker, story.worker, story.worker):
                start()
            wait_until("work is under way", lambda: len(story.effects()) > 100 and len(acknowledged(story)) > 50)
            yield story
        except BaseException:
            story.tell()
            raise
        finally:
            story.end()
            story.namespace.close()


def held_half_way(keys: int = 15):
    """Stop after so many keys, so that scripts find some of a shard's keys here and some there."""
    moved, begun = [0], [0.0]

    def pace() -> None:
        moved[0] += 1
        if moved[0] == keys:
            begun[0] = time.monotonic()
            wait_until("the slot was half moved for a while", lambda: time.monotonic() - begun[0] >= HALF_WAY_S)

    return pace


@contextmanager
def moving_away(folder) -> Iterator[tuple[ClusterStory, Iterator[tuple[int, Node]]]]:
    """Everybody at work, and the slot of each shard of one node, with the node it is to go to.

    Between two of them work goes on; afterwards the shards that were moved are where they should be, their jobs fire,
    and everything has its effect.
    """
    with at_work(folder) as story:
        leaving, *others = story.cluster.masters
        moving = story.on(leaving)
        assert moving

        def each() -> Iterator[tuple[int, Node]]:
            for number, shard in enumerate(moving):
                before = len(acknowledged(story))
                yield hash_slot(shard.keys.tag), others[number % 2]
                wait_until("the producer goes on", lambda: len(acknowledged(story)) > before + 20)  # noqa: B023 - called at once

        yield story, each()
        assert story.on(leaving) == []
        seen = story.instants(moving)
        wait_until("the jobs that were moved fire", lambda: story.instants(moving) > seen + 5)
        story.comes_to_rest()


def refusals(story: ClusterStory, word: str) -> int:
    return sum(node.refusals(word) for node in story.cluster.masters)


def test_slots_move_under_load_key_by_key_and_nothing_is_lost(tmp_path):
    with moving_away(tmp_path) as (story, moves):
        for slot, target in moves:
            story.cluster.move(slot, target, held_half_way())
        # Scripts did meet slots that were half here and half there.
        assert refusals(story, "TRYAGAIN") > 0


@moving_whole
def test_slots_move_under_load_as_a_whole_and_nothing_is_lost(tmp_path):
    with moving_away(tmp_path) as (story, moves):
        moved = refusals(story, "MOVED")
        for slot, target in moves:
            story.cluster.move_whole(slot, target)
        # Clients were sent on, and none of them met a slot that was half here and half there.
        assert refusals(story, "MOVED") > moved
        assert (refusals(story, "TRYAGAIN"), refusals(story, "ASK")) == (0, 0)


def test_the_loss_of_a_node_stops_no_other_and_nothing_that_was_acknowledged_is_lost(tmp_path):
    with at_work(tmp_path, replicated=1) as story:
        replicated, single, _ = story.cluster.masters

        # When a node with a replica is lost
        failing_over = story.on(replicated)
        assert failing_over
        seen = story.instants(failing_over)
        story.cluster.lose(replicated, story.cluster.replicas[0])
        wait_until("its replica has taken over", lambda: story.cluster.replicas[0].role() == "master")
        wait_until("the jobs on it fire", lambda: story.instants(failing_over) > seen + 5)

        # And when one is lost that has none
        lost, seen_lost = story.on(single), story.instants(story.on(single))
        living = [each for each in story.shards if each not in lost]
        assert lost
        single.kill()
        seen = story.instants(living)
        wait_until("the jobs on the other nodes fire", lambda: story.instants(living) > seen + 2 * JOBS)
        late = story.worker()
        wait_until("a worker that starts now works there", lambda: late.pid in {each.pid for each in story.effects()})
        seen = [len(acknowledged(story))]

        # Then all is well again as soon as it is back
        single.start()
        wait_until("the producer goes on", lambda: len(acknowledged(story)) > seen[0] + 50)
        wait_until("the jobs on the lost node fire", lambda: story.instants(lost) > seen_lost + 5)
        assert [process.poll() for process in story.processes] == [None] * 5
        story.comes_to_rest()
