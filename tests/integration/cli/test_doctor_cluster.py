"""`jobistemer doctor` on a cluster: it looks at every node, and each finding names the one that it is about."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from jobistemer import Jobistemer
from jobistemer.cli import main
from jobistemer.store.keys import Keys, settings_key
from jobistemer.store.server.cluster_map import hash_slot
from tests.support.clusters import LocalCluster, Node, free_port, running_cluster
from tests.support.faketime import ServerClock
from tests.support.servers import SHARDS, cluster_binary, empty_server
from tests.support.step_system import StepWorker
from tests.support.worker_processes import wait_until

pytestmark = pytest.mark.process
SERVER_CHECKS = {"version", "role", "eviction", "memory", "persistence", "clock"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Three primaries, of which the first has a replica."""
    with running_cluster(cluster_binary(), tmp_path_factory.mktemp("doctor"), replicated=1) as cluster:
        for node in cluster.nodes:
            node.client.config_set("maxmemory-policy", "noeviction")
        cluster.masters[0].client.config_set("min-replicas-to-write", 1)
        yield cluster


@pytest.fixture
def app(cluster):
    empty_server(cluster.url)
    app = Jobistemer(cluster.url, namespace="test")

    @app.task
    def work() -> None: ...

    yield app
    app.namespace.close()


def restarted(cluster: LocalCluster, node: Node) -> None:
    node.kill()
    node.start()
    node.client.config_set("maxmemory-policy", "noeviction")

    def whole() -> bool:
        told = [each.state() for each in cluster.nodes]
        reached = not any("fail" in each.ask("CLUSTER", "NODES").decode() for each in cluster.nodes)
        return reached and all(each["cluster_state"] == "ok" and each["cluster_slots_ok"] == "16384" for each in told)

    wait_until(whole, "the cluster is whole again")


def name_of(node: Node) -> str:
    return f"127.0.0.1:{node.port}"


def doctor(url: str, *options: str, code: int = 0) -> list[dict[str, str]]:
    result = CliRunner().invoke(main, ["doctor", "--url", url, "--namespace", "test", "--json", *options])
    assert result.exit_code == code, result.output
    return list(json.loads(result.stdout)["findings"])


def wrong(found: list[dict[str, str]]) -> list[tuple[str, str, str, str]]:
    """What is not fine; that the second and the third node have no replica is so in all of these tests."""
    return [
        (each["node"], each["check"], each["level"], each["value"])
        for each in found
        if each["level"] != "fine" and (each["check"], each["value"]) != ("replicas", "none")
    ]


def test_of_each_node_everything_is_told_and_of_each_shard_where_it_is(cluster, app):
    found = doctor(cluster.url)
    assert wrong(found) == []
    of_node = {
        name_of(node): {each["check"] for each in found if each["node"] == name_of(node)} for node in cluster.nodes
    }
    first, second, third = (name_of(node) for node in cluster.masters)
    assert all(checks >= SERVER_CHECKS for checks in of_node.values())
    assert all("cluster" in of_node[primary] for primary in (first, second, third))
    # The replica's own role is not held against it, and those without one are named.
    assert ("role", "replica, in step") in {
        (e["check"], e["value"]) for e in found if e["node"] == name_of(cluster.replicas[0])
    }
    lonely = [each["node"] for each in found if (each["check"], each["level"]) == ("replicas", "warning")]
    assert sorted(lonely) == sorted([second, third])
    spread = {each["node"]: each["value"] for each in found if each["check"] == "shards"}
    numbers = {name_of(node): cluster.shards_of(node, "test", SHARDS) for node in cluster.masters}
    assert spread == {node: f"{len(own)} of {SHARDS}: {', '.join(map(str, own))}" for node, own in numbers.items()}
    places = {each["value"].partition(": ")[0]: each["node"] for each in found if each["check"] == "entries"}
    assert places == {
        Keys("test", n).tag: name_of(cluster.owner(hash_slot(Keys("test", n).tag))) for n in range(SHARDS)
    }


@pytest.mark.parametrize("which", ["third primary", "replica"])
def test_a_setting_that_one_node_alone_has_is_named_with_that_node(cluster, app, which):
    node = cluster.replicas[0] if which == "replica" else cluster.masters[2]
    node.client.config_set("maxmemory-policy", "allkeys-lru")
    node.client.config_set("appendonly", "no")
    assert wrong(doctor(cluster.url, code=1)) == [
        (name_of(node), "eviction", "fault", "allkeys-lru"),
        (name_of(node), "persistence", "warning", "appendonly no"),
    ]
    node.client.config_set("maxmemory-policy", "noeviction")
    node.client.config_set("appendonly", "yes")


def test_stuck_entries_and_orphaned_keys_are_found_on_whatever_node_they_are(cluster, app):
    # Given, on a shard of each node, a key that nobody removes and an entry that somebody took who is gone
    expected = set()
    for node in cluster.masters:
        number = cluster.shards_of(node, "test", SHARDS)[0]
        shard = app.namespace.shards[number]
        shard.ask("HSET", shard.keys.worker("bob"), "x", "y")
        expected.add(
            (
                name_of(node),
                "keys",
                "fault",
                f"{shard.keys.tag}:worker:bob: no such worker is listed, and it has no expiry",
            )
        )
        while not shard.ask("EXISTS", shard.keys.stream("default:5")):
            app.enqueue("work", {})
        StepWorker(shard, app, "carl").fetch()
    found = wrong(doctor(cluster.url, code=1))
    assert {each for each in found if each[1] == "keys"} == expected
    stuck = [each for each in found if each[1] == "entries"]
    assert {each[0] for each in stuck} == {name_of(node) for node in cluster.masters}
    assert all(
        "of queue default is with worker carl, which has been silent for more than a minute" in each[3]
        for each in stuck
    )


def test_a_slot_that_was_left_half_way_is_a_warning(cluster, app):
    source, target = cluster.masters[:2]
    source.ask("CLUSTER", "SETSLOT", 5, "MIGRATING", target.id)
    assert wrong(doctor(cluster.url)) == [(name_of(source), "cluster", "warning", "slot 5 is half way to another node")]
    source.ask("CLUSTER", "SETSLOT", 5, "STABLE")
    assert wrong(doctor(cluster.url)) == []


def test_a_user_whom_one_node_does_not_know_is_a_fault_of_that_node(cluster, app):
    url = cluster.url.replace("://", "://ann:s3cret@")
    for node in cluster.nodes:
        node.ask("ACL", "SETUSER", "ann", "reset", "on", ">s3cret", "+@all", "~*", "&*")
    assert wrong(doctor(url)) == []
    cluster.replicas[0].ask("ACL", "DELUSER", "ann")
    (found,) = (each for each in doctor(url, code=1) if each["level"] == "fault")
    assert (found["node"], found["check"]) == (name_of(cluster.replicas[0]), "node")
    assert "each node has users of its own" in found["remedy"]
    assert "s3cret" not in json.dumps(found)


def test_a_node_whose_clock_is_off_is_named(cluster, app, tmp_path, monkeypatch):
    node = cluster.masters[1]
    hands = ServerClock(tmp_path)
    hands.turn(3600)
    with monkeypatch.context() as preloaded:
        for name, value in hands.environment.items():
            preloaded.setenv(name, value)
        restarted(cluster, node)
    (found,) = wrong(doctor(cluster.url))
    assert found[:3] == (name_of(node), "clock", "warning")
    assert found[3].startswith(("3600", "3599"))
    restarted(cluster, node)


def test_a_lost_node_is_named_with_what_waits_for_it_and_the_rest_is_looked_at_all_the_same(cluster, app):
    # Given that a node is lost, which the namespace's settings are not on
    home = cluster.owner(hash_slot(settings_key("test")))
    lost = next(node for node in cluster.masters[1:] if node is not home)
    waiting = {Keys("test", number).tag for number in cluster.shards_of(lost, "test", SHARDS)}
    lost.kill()
    try:
        wait_until(lambda: home.state()["cluster_slots_ok"] != "16384", "the others have noticed")
        found = doctor(cluster.url, code=1)
    finally:
        restarted(cluster, lost)

    # Then it is told by who asks and by the others, and its shards are named
    faults = [each for each in wrong(found) if each[2] == "fault"]
    of_lost = [each for each in faults if each[0] == name_of(lost)]
    assert {(each[1], each[3].partition(":")[0]) for each in of_lost if each[1] == "node"} == {
        ("node", "it does not answer")
    }
    assert any(each[1] == "cluster" and each[3].endswith("cannot reach it") for each in of_lost)
    assert {each[3].partition(" ")[0] for each in of_lost if each[1] == "shards"} == waiting
    # And everything else was looked at
    looked_at = {each["value"].partition(": ")[0] for each in found if each["check"] == "keys"}
    assert looked_at == {Keys("test", number).tag for number in range(SHARDS)} - waiting
    assert all("of 16384 slots are served" in each[3] for each in faults if each not in of_lost)


def test_without_the_node_of_the_settings_the_nodes_are_looked_at_and_that_is_said(cluster, app):
    home = cluster.owner(hash_slot(settings_key("test")))
    home.kill()
    try:
        found = doctor(cluster.url, code=1)
    finally:
        restarted(cluster, home)
    assert [each[:3] for each in wrong(found) if each[1] == "shards"] == [("", "shards", "fault")]
    assert {each["node"] for each in found if each["check"] == "eviction"} == {
        name_of(n) for n in cluster.nodes if n is not home
    }


def test_a_cluster_of_which_no_node_answers_is_one_line():
    result = CliRunner().invoke(
        main, ["doctor", "--url", f"redis+cluster://127.0.0.1:{free_port()},127.0.0.1:{free_port()}"]
    )
    assert result.exit_code == 1
    assert "no Redis or Valkey server answers at redis+cluster://" in result.stderr
