"""Check each node of a cluster: its own state, and its view of the other nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import redis

from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.core.reads.cluster_health import ClusterNode, NodeView, check_cluster, parse_nodes
from jobistemer.core.reads.findings import Finding, at_node, check_replica, check_server, fault, warning
from jobistemer.store.clock import ServerClock
from jobistemer.store.database import Database
from jobistemer.store.errors import translate_error
from jobistemer.store.namespace import Namespace
from jobistemer.store.server.cluster_map import Address, Cluster, read_node_addresses
from jobistemer.store.server.urls import redact_url

_UNREACHED_REMEDY: Final = "start it, or see why it cannot be reached from here"
_REFUSED_REMEDY: Final = "each node has users of its own: make the same on all of them"


def diagnose_nodes(namespace: Namespace, cluster: Cluster) -> list[Finding]:
    """Return the findings about each node and about the whole cluster. Raises NotConnected when no node answers."""
    found: list[Finding] = []
    views: dict[str, NodeView] = {}
    for member, address in _list_members(namespace, cluster):
        name = f"{address[0]}:{address[1]}"
        node = _node_database(namespace, cluster, address)
        try:
            found += at_node(name, _check_node(node, member))
            if not member.is_replica:
                views[name] = _read_view(node)
        except NotConnected as error:
            found += at_node(name, [fault("node", f"it does not answer: {error.__cause__}", _UNREACHED_REMEDY)])
        except ServerRefused as error:
            found += at_node(name, [fault("node", str(error), _REFUSED_REMEDY)])
    return [*found, *check_cluster(views)]


def _node_database(namespace: Namespace, cluster: Cluster, address: Address) -> Database:
    """Return a connection to one node, with its own clock, for commands about the node and not about a shard."""
    shown = f"{urlsplit(namespace.url).scheme}://{address[0]}:{address[1]}"
    return Database(cluster.client(address), namespace.settings.keys, ServerClock(), shown)


def read_info(node: Database) -> Mapping[str, Any] | Finding:
    """Return the answer to INFO, or a finding when the user may not run it."""
    try:
        info: Mapping[str, Any] = node.ask("INFO")
    except ServerRefused as error:
        return warning("server", "it refuses INFO", f"let this user run INFO: {error}")
    return info


def offset_ms(node: Database) -> int:
    """Return by how many milliseconds the clock of a server is ahead of this machine, as last read."""
    return int(getattr(node.clock, "offset_ms", 0))


def _list_members(namespace: Namespace, cluster: Cluster) -> Iterator[tuple[ClusterNode, Address]]:
    """Yield every node that serves slots, then every replica, each with the address at which it is reached."""
    try:
        places = read_node_addresses(*cluster.ask_any("CLUSTER", "SLOTS"))
        text, _ = cluster.ask_any("CLUSTER", "NODES")
    except redis.RedisError as error:
        raise translate_error(error, redact_url(namespace.url)) from error
    members = parse_nodes(text.decode())
    for member in sorted(members, key=lambda each: each.is_replica):
        if member.is_replica or member.serves:
            # CLUSTER SLOTS leaves out a replica that is not in step, so its own name has to do.
            host, _, port = member.name.rpartition(":")
            yield member, places.get(member.id, (host, int(port)))


def _check_node(node: Database, member: ClusterNode) -> list[Finding]:
    node.read_clock()
    info = read_info(node)
    if isinstance(info, Finding):
        return [info]
    return (check_replica if member.is_replica else check_server)(info, offset_ms(node))


def _read_view(node: Database) -> NodeView:
    return NodeView(node.ask("CLUSTER INFO"), parse_nodes(node.ask("CLUSTER", "NODES").decode()))
