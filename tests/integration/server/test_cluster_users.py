"""A cluster where the default user is off: roles, and the nodes among themselves, have users of their own."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from jobistemer import Jobistemer
from jobistemer.cli import main
from jobistemer.store.server.cluster_map import hash_slot
from tests.support.apps import running_ticker, running_worker
from tests.support.clusters import running_cluster
from tests.support.roles import create_user_on, wait_for_scripts
from tests.support.servers import SHARDS, VALKEY, binary_of
from tests.support.worker_processes import wait_until

pytestmark = pytest.mark.process

ADMIN = ("--user", "admin", "on", ">s3cret", "~*", "&*", "+@all")
# A slot that moves brings whatever commands made it, so a node may do everything at the others.
NODE = ("--user", "node", "on", ">n0de", "~*", "&*", "+@all")
CLOSED = (*ADMIN, *NODE, "--user", "default", "off", "--masteruser", "node", "--masterauth", "n0de")


@pytest.fixture
def cluster(tmp_path):
    (tmp_path / "nodes").mkdir()
    admin = {"username": "admin", "password": "s3cret"}
    with running_cluster(binary_of(VALKEY), tmp_path / "nodes", 1, CLOSED, admin) as cluster:
        yield cluster


def app_as(url: str) -> Jobistemer:
    app = Jobistemer(url, namespace="test", shards=SHARDS)

    @app.task
    def double(number: int) -> int:
        return 2 * number

    return app


def doubled(app: Jobistemer) -> None:
    handles = [app.enqueue("double", {"number": number}) for number in range(40)]
    assert [handle.result(timeout=60) for handle in handles] == [2 * number for number in range(40)]


def test_slots_are_handed_over_and_a_lost_node_is_replaced_with_the_default_user_off(cluster):
    # Given a user for each role, on every node, and everybody at work
    def url(*roles: str) -> str:
        return create_user_on([node.client for node in cluster.nodes], cluster.url, "test", *roles)

    producer, operator = app_as(url("producer")), url("operator")
    # No other role may fix the number of shards.
    app_as(operator).namespace.connect()
    with running_worker(app_as(url("worker"))), running_ticker(app_as(url("ticker"))):
        wait_for_scripts(node.client for node in cluster.masters)
        doubled(producer)
        # When a slot with all that is in it goes to the node that has a replica
        leaving = next(
            number for number in range(SHARDS) if number in cluster.shards_of(cluster.masters[1], "test", SHARDS)
        )
        slot = hash_slot(producer.namespace.shards[leaving].keys.tag)
        cluster.move_whole(slot, cluster.masters[0])
        assert cluster.owner(slot) is cluster.masters[0]
        doubled(producer)
        told = json.loads(
            CliRunner().invoke(main, ["doctor", "--url", operator, "--namespace", "test", "--json"]).stdout
        )
        assert [each for each in told["findings"] if each["level"] == "fault"] == []

        # And when that node is lost, whose replica knows the same users
        cluster.lose(cluster.masters[0], cluster.replicas[0])
        wait_until(lambda: cluster.replicas[0].role() == "master", "its replica has taken over")
        wait_until(lambda: cluster.owner(slot) is cluster.replicas[0], "the others know it")
        # Then all goes on, as soon as a worker or the ticker has loaded the scripts, which a producer may not
        wait_for_scripts([cluster.replicas[0].client])
        doubled(producer)
