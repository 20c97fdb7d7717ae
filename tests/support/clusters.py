"""A cluster of servers on loopback: made, asked and changed over their own protocol, no tool needed."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import redis

from jobistemer.store.keys import Keys
from jobistemer.store.server.cluster_map import hash_slot
from tests.support.worker_processes import wait_until

SLOTS = 16384
OPTIONS = (
    *("--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--save", "", "--appendonly", "yes"),
    # What was acknowledged is written, though not to the disk: it is processes that are killed here.
    *("--appendfsync", "no"),
    # The shards on a lost node wait, the others go on.
    *(
        "--cluster-require-full-coverage",
        "no",
        "--cluster-replica-validity-factor",
        "0",
        "--repl-diskless-sync-delay",
        "0",
    ),
)


class Node:
    """One server of a cluster: a process that can be killed and come back.

    options: what it is started with besides. secrets: of the client that the test asks it with; `ssl` among them makes
    its port one for TLS.
    """

    def __init__(self, binary: str, folder: Path, port: int, options: Sequence[str], secrets: dict[str, Any]) -> None:
        self.port = port
        self._folder, self._binary, self._options, self._secrets = folder, binary, options, secrets
        folder.mkdir()
        self.start()

    def start(self) -> None:
        """Start it, with what it has on disk."""
        from tests.support.servers import wait_until_ready

        port = str(self.port)
        place = ("--port", "0", "--tls-port", port) if "ssl" in self._secrets else ("--port", port)
        command = [self._binary, *place, "--bind", "127.0.0.1", "--dir", str(self._folder), *OPTIONS, *self._options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert self.process.stdout is not None
        wait_until_ready(self.process.stdout)
        Thread(target=self.process.stdout.read, daemon=True).start()
        self.client = redis.Redis(port=self.port, protocol=2, socket_timeout=10, **self._secrets)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()

    def ask(self, *command: Any) -> Any:
        """What the node itself answers."""
        pool = self.client.connection_pool
        connection = pool.get_connection()
        try:
            connection.send_command(*command)
            return connection.read_response()
        finally:
            pool.release(connection)

    @property
    def id(self) -> str:
        return str(self.ask("CLUSTER", "MYID").decode())

    def role(self) -> str:
        return str(self.client.info("replication")["role"])

    def refusals(self, word: str) -> int:
        """How often the node has answered with an error that begins so."""
        return int(self.client.info("errorstats").get(f"errorstat_{word}", {}).get("count", 0))

    def state(self) -> dict[str, str]:
        """What CLUSTER INFO says."""
        lines = self.ask("CLUSTER", "INFO").decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)


class LocalCluster:
    """Three masters that share the slots, and replicas for some of them."""

    def __init__(self, masters: list[Node], scheme: str) -> None:
        self.masters = masters
        self.replicas: list[Node] = []
        self._scheme = scheme

    @property
    def nodes(self) -> list[Node]:
        return [*self.masters, *self.replicas]

    @property
    def url(self) -> str:
        return f"{self._scheme}://" + ",".join(f"127.0.0.1:{node.port}" for node in self.masters)

    def owner(self, slot: int) -> Node:
        """The node that the masters say serves a slot."""
        for first, last, master, *_ in next(each for each in self.nodes if each.process.poll() is None).ask(
            "CLUSTER", "SLOTS"
        ):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == master[1])
        raise AssertionError(f"no node serves slot {slot}")

    def shards_of(self, node: Node, namespace: str, shards: int) -> list[int]:
        """The shards of a namespace that are on a node."""
        return [each for each in range(shards) if self.owner(hash_slot(Keys(namespace, each).tag)) is node]

    def flush(self) -> None:
        for node in self.masters:
            node.client.flushall()

    def lose(self, master: Node, replica: Node) -> None:
        """Kill a master, in the middle of commands, when its replica has all that it has acknowledged.

        What it had not passed on would be lost with it, and nobody can promise otherwise: replication is asynchronous.
        On a busy machine a master is often stopped between an answer and its replica.
        """
        master.ask("CLIENT", "PAUSE", 30_000, "WRITE")

        def caught_up() -> bool:
            sent, had = (node.client.info("replication") for node in (master, replica))
            return had["master_link_status"] == "up" and had["slave_repl_offset"] == sent["master_repl_offset"]

        wait_until(caught_up, "the replica has everything")
        master.kill()

    def settle(self) -> None:
        """Wait until every node knows every other and all slots are served."""

        def settled() -> bool:
            told = [node.state() for node in self.nodes]
            return all(each["cluster_state"] == "ok" and int(each["cluster_known_nodes"]) == len(told) for each in told)

        wait_until(settled, "the cluster is complete")

    def move(self, slot: int, target: Node, pace: Any = lambda: None) -> None:
        """Move a slot key by key, as `valkey-cli --cluster reshard` does; `pace` is called after each key."""
        source = self.owner(slot)
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 10):
            for key in keys:
                source.ask("MIGRATE", "127.0.0.1", target.port, key, 0, 5000)
                pace()
        for node in (target, source, *self.masters):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", target.id)

    def move_whole(self, slot: int, target: Node) -> None:
        """Move a slot as newer servers do: copied while the source goes on with it, then handed over at once."""
        source = self.owner(slot)
        source.ask("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", target.id)

        def done() -> bool:
            latest = source.ask("CLUSTER", "GETSLOTMIGRATIONS")[0]
            told = dict(zip(latest[::2], latest[1::2], strict=True))
            assert told[b"state"] not in (b"failed", b"cancelled"), told[b"message"].decode()
            return told[b"state"] == b"success"

        wait_until(done, f"slot {slot} has moved")


@contextmanager
def running_cluster(
    binary: str, folder: Path, replicated: int = 0, options: Sequence[str] = (), secrets: dict[str, Any] | None = None
) -> Iterator[LocalCluster]:
    """A cluster of three masters while the context lasts, the first `replicated` of them with a replica.

    options, secrets: of each node, see there.
    """
    nodes: list[Node] = []

    def node() -> Node:
        nodes.append(Node(binary, folder / f"node{len(nodes)}", free_port(), options, secrets or {}))
        return nodes[-1]

    try:
        cluster = LocalCluster(
            [node() for _ in range(3)], "rediss+cluster" if "ssl" in (secrets or {}) else "redis+cluster"
        )
        for number, master in enumerate(cluster.masters):
            master.ask("CLUSTER", "ADDSLOTSRANGE", *_slot_range(number)) if _knows_ranges(master) else master.ask(
                "CLUSTER", "ADDSLOTS", *range(_slot_range(number)[0], _slot_range(number)[1] + 1)
            )
            master.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for _ in range(replicated):
            cluster.replicas.append(node())
        for other in cluster.nodes[1:]:
            other.ask("CLUSTER", "MEET", "127.0.0.1", cluster.masters[0].port)
        cluster.settle()
        for master, replica in zip(cluster.masters, cluster.replicas, strict=False):
            wait_until(lambda r=replica, m=master: _follows(r, m), "the replica is in step")  # type: ignore[misc]
        wait_until(
            lambda: all(_knows_replicas(node, replicated) for node in nodes), "every node knows who is a replica"
        )
        yield cluster
    finally:
        for each in nodes:
            each.process.kill()
            each.process.wait()


def _follows(replica: Node, master: Node) -> bool:
    if replica.client.info("replication")["role"] != "slave":
        replica.ask("CLUSTER", "REPLICATE", master.id)
        return False
    return replica.client.info("replication")["master_link_status"] == "up"


def _knows_replicas(node: Node, replicas: int) -> bool:
    # Masters give no vote to one whom they still take for a master.
    flags = [line.split()[2].split(",") for line in node.ask("CLUSTER", "NODES").decode().splitlines()]
    return sum("slave" in each for each in flags) == replicas


def _slot_range(number: int) -> tuple[int, int]:
    each = SLOTS // 3
    return number * each, SLOTS - 1 if number == 2 else (number + 1) * each - 1


def moves_slots_whole(binary: str) -> bool:
    """Whether such servers have `CLUSTER MIGRATESLOTS`: Valkey from 9 on."""
    told = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.match(r"Valkey server v=(\d+)", told)
    return found is not None and int(found[1]) >= 9


def _knows_ranges(node: Node) -> bool:
    return int(node.client.info("server")["redis_version"].partition(".")[0]) >= 7


def free_port() -> int:
    """A port that is free and leaves room for the cluster's own beside it."""
    while True:
        with socket.socket() as probe, socket.socket() as bus:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
            if port + 10000 > 65535:
                continue
            try:
                bus.bind(("127.0.0.1", port + 10000))
            except OSError:
                continue
            return port
