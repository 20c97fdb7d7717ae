"""A shard's client on a cluster: it follows its slot, waits while that is half moved, and does nothing twice."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from click.testing import CliRunner

from jobistemer import Jobistemer
from jobistemer.cli import main
from jobistemer.core.errors import Misconfigured, NotConnected, ServerRefused
from jobistemer.store.calls.streams import StreamReader, open_streams
from jobistemer.store.keys import settings_key
from jobistemer.store.namespace import Namespace
from jobistemer.store.server import cluster_client
from jobistemer.store.server.cluster_map import hash_slot
from jobistemer.store.server.connection import Server
from tests.support.apps import drain_queues, running_worker
from tests.support.clusters import LocalCluster, running_cluster
from tests.support.roles import create_user_on
from tests.support.servers import cluster_binary, empty_server, moving_whole
from tests.support.shard_state import find_leaks
from tests.support.step_system import read_attempts


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with running_cluster(cluster_binary(), tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def app(cluster):
    empty_server(cluster.url, shards=1)
    app = app_as(cluster.url)
    yield app
    app.namespace.close()


def app_as(url: str) -> Jobistemer:
    app = Jobistemer(url, namespace="test")

    @app.task
    def double(number: int) -> int:
        return 2 * number

    return app


class Move:
    """The slot of the app's shard on its way to another node."""

    def __init__(self, cluster: LocalCluster, app: Jobistemer) -> None:
        self._cluster = cluster
        self.database = app.namespace.shards[0]
        self.slot = hash_slot(self.database.keys.tag)
        self.source = cluster.owner(self.slot)
        self.target = next(node for node in cluster.masters if node is not self.source)

    def begin(self, *first: str) -> None:
        """Move some keys."""
        self.target.ask("CLUSTER", "SETSLOT", self.slot, "IMPORTING", self.source.id)
        self.source.ask("CLUSTER", "SETSLOT", self.slot, "MIGRATING", self.target.id)
        for key in first:
            self.source.ask("MIGRATE", "127.0.0.1", self.target.port, key, 0, 5000)

    def finish(self) -> None:
        self._cluster.move(self.slot, self.target)

    def whole(self) -> None:
        self._cluster.move_whole(self.slot, self.target)


@pytest.fixture
def move(cluster, app):
    return Move(cluster, app)


def test_commands_scripts_and_batches_follow_a_slot_that_has_moved(app, move):
    # Given a client that knows where its slot was, and scripts that only that node knows
    before = [app.enqueue("double", {"number": number}) for number in range(5)]
    move.target.client.script_flush()
    move.finish()

    # When it is used as ever
    alone = app.enqueue("double", {"number": 5})
    many = app.enqueue_many(app.request("double", {"number": number}) for number in range(6, 20))
    awaited = asyncio.run(app.enqueue_async("double", {"number": 20}))

    # Then all of it is there
    drain_queues(app)
    handles = [*before, alone, *many, awaited]
    assert [handle.result(timeout=60) for handle in handles] == [2 * number for number in range(21)]


def test_a_script_waits_for_a_slot_that_is_half_moved_and_is_executed_once(app, move):
    # Given a slot of which some keys are here and some there
    app.enqueue("double", {"number": 1})
    keys = move.database.keys
    move.begin(keys.stream("default:5"))
    with ThreadPoolExecutor(3) as pool:
        # When calls are made in all three ways, which no node can execute now
        refused = sum(node.refusals("TRYAGAIN") for node in (move.source, move.target))
        calls = [
            pool.submit(app.enqueue, "double", {"number": 2}),
            pool.submit(lambda: list(app.enqueue_many([app.request("double", {"number": 3})]))[0]),
            pool.submit(lambda: asyncio.run(app.enqueue_async("double", {"number": 4}))),
        ]
        while sum(node.refusals("TRYAGAIN") for node in (move.source, move.target)) < refused + 6:
            assert not any(call.done() for call in calls)

        # And the rest of the slot arrives
        move.finish()
        handles = [call.result(timeout=60) for call in calls]

    # Then each was executed, once
    assert {handle.state() for handle in handles} == {"pending"}
    assert move.database.ask("XLEN", move.database.keys.stream("default:5")) == 4


def test_a_slot_that_stays_half_moved_is_an_outage_and_nothing_is_written(app, move, monkeypatch):
    monkeypatch.setattr(cluster_client, "PATIENCE_S", 0.1)
    app.enqueue("double", {"number": 1})
    move.begin(move.database.keys.stream("default:5"))
    with pytest.raises(NotConnected, match="does not serve this shard now.*Its slot is being moved"):
        app.enqueue("double", {"number": 2})
    with pytest.raises(NotConnected, match="Its slot is being moved"):
        asyncio.run(app.enqueue_async("double", {"number": 2}))
    with pytest.raises(NotConnected, match="Its slot is being moved"):
        list(app.enqueue_many([app.request("double", {"number": 2})]))
    move.finish()
    assert move.database.ask("XLEN", move.database.keys.stream("default:5")) == 1


def test_a_single_key_is_asked_for_where_it_is(app, move):
    database = move.database
    for name in ("here", "there"):
        database.ask("SET", database.keys.own(name), name)
    move.begin(database.keys.own("there"))
    asked = [("GET", database.keys.own(name)) for name in ("here", "there", "nowhere")]
    assert [database.ask(*command) for command in asked] == [b"here", b"there", None]
    assert database.ask_all(asked) == [b"here", b"there", None]
    move.finish()


def test_a_worker_that_waits_goes_on_waiting_where_the_slot_is_now(app, move):
    # Given a worker that has something done and waits for more
    with running_worker(app):
        assert app.enqueue("double", {"number": 1}).result(timeout=60) == 2
        # When its slot goes, and there is more
        move.finish()
        # Then it is done
        assert app.enqueue("double", {"number": 2}).result(timeout=60) == 4


@moving_whole
def test_what_runs_while_its_slot_moves_as_a_whole_is_recorded_once_where_it_is_now(app, move):
    began, go_on = threading.Event(), threading.Event()

    @app.task
    def slow() -> int:
        began.set()
        assert go_on.wait(60)
        return 1

    # Given a worker that is in the middle of a run, and waits for more
    with running_worker(app):
        run = app.enqueue("slow", {})
        assert began.wait(60)
        # When its slot goes with all that is pending, and the run ends
        move.whole()
        go_on.set()
        # Then its outcome is taken where its entry is now, and what comes next is done there
        assert run.result(timeout=60) == 1
        assert app.enqueue("double", {"number": 2}).result(timeout=60) == 4
    (attempt,) = read_attempts(move.database, run.id)
    assert attempt.state == "succeeded"
    assert find_leaks(move.database) == {}


def test_a_wait_that_is_under_way_is_ended_where_it_is(app):
    database = app.namespace.shards[0]
    open_streams(database, ["default:5"])
    reader = StreamReader(database, "alice")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(reader.fetch, ["default:5"], 1, block=True)
        while not waiting.done():
            reader.interrupt()
        assert waiting.result() == []


def test_the_command_line_works_on_a_cluster(cluster):
    empty_server(cluster.url, shards=8)
    app = Jobistemer(cluster.url, namespace="test")
    runs = [app.enqueue("double", {"number": number}) for number in range(20)]
    run = partial(CliRunner().invoke, main)
    where = ["--url", cluster.url, "--namespace", "test", "--json"]

    listed = run(["queue", "list", *where])
    assert [queue["waiting"] for queue in json.loads(listed.stdout)["queues"]] == [20]
    assert all(run(["run", "show", each.id, *where]).exit_code == 0 for each in runs)
    assert run(["run", "cancel", runs[0].id, *where]).exit_code == 0
    assert runs[0].state() == "canceled"
    assert run(["audit", *where]).exit_code == 0
    found = json.loads(run(["doctor", *where]).stdout)["findings"]
    assert [each["value"] for each in found if each["check"] == "cluster"] == [
        "ok, 16384 of 16384 slots are served"
    ] * 3


async def state_of(app: Jobistemer, run: str) -> bytes:
    database = app.namespace.async_shard(app.namespace.shards[0])
    return await database.ask("HGET", database.keys.run(run), "state")


def test_the_rights_of_a_role_are_enough_to_follow_a_slot(cluster, app, move):
    # Given users with the rights of their roles, and a slot of which some keys are here and some there
    nodes = [node.client for node in cluster.masters]
    as_role = lambda *roles: app_as(create_user_on(nodes, cluster.url, "test", *roles))  # noqa: E731
    producer, worker, operator, viewer = (as_role(role) for role in ("producer", "worker", "operator", "viewer"))
    run = producer.enqueue("double", {"number": 1})
    move.begin(move.database.keys.run(run.id))

    # When each asks for what has gone already, by threads and by coroutines
    assert {each.run(run.id).state() for each in (producer, operator, viewer)} == {"pending"}
    assert asyncio.run(state_of(producer, run.id)) == b"pending"
    move.finish()
    drain_queues(worker)

    # Then nobody was refused anything
    assert run.result(timeout=60) == 2
    assert [entry for node in nodes for entry in node.acl_log()] == []


def test_a_url_of_one_node_alone_is_told_what_it_is(cluster):
    elsewhere = next(node for node in cluster.masters if node is not cluster.owner(hash_slot(settings_key("test"))))
    with pytest.raises(ServerRefused, match=r"It is one node of a cluster: the URL begins with redis\+cluster://"):
        Namespace(f"redis://127.0.0.1:{elsewhere.port}/0", "test").connect()


@pytest.mark.parametrize("url", ["redis+cluster://", "redis+cluster://host:70x", "redis+cluster://host/3"])
def test_a_cluster_url_that_cannot_be_is_refused(url):
    with pytest.raises(Misconfigured):
        Server(url)


def test_the_options_of_a_cluster_url_are_those_of_one_server():
    nodes = Server("rediss+cluster://bob:secret@a:1,b?socket_timeout=7&ssl_cert_reqs=none").cluster
    assert nodes is not None
    options = nodes.client(("a", 1)).get_connection_kwargs()
    chosen = {
        name: options[name] for name in ("host", "port", "username", "password", "socket_timeout", "ssl_cert_reqs")
    }
    assert chosen == {
        "host": "a",
        "port": 1,
        "username": "bob",
        "password": "secret",
        "socket_timeout": 7.0,
        "ssl_cert_reqs": "none",
    }
    assert nodes.client(("a", 1)).connection_pool.connection_class.__name__ == "BoundedTlsConnection"
