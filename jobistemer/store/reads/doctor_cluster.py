"""Each node of a cluster by itself: what it says of itself, and of the others."""

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
    """What there is to say of each node, and of the cluster they make. Raises NotConnected when no node answers."""
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
    """A node by itself, with its own clock, whatever shards it has."""
    shown = f"{urlsplit(namespace.url).scheme}://{address[0]}:{address[1]}"
    return Database(cluster.client(address), namespace.settings.keys, ServerClock(), shown)


def read_info(node: Database) -> Mapping[str, Any] | Finding:
    """What a server tells about itself, or the finding that it does not."""
    try:
        info: Mapping[str, Any] = node.ask("INFO")
    except ServerRefused as error:
        return warning("server", "it tells nothing about itself", f"let this user run INFO: {error}")
    return info


def offset_ms(node: Database) -> int:
    """How far the clock of a server, which it has just been asked for, is ahead of this machine's."""
    return int(getattr(node.clock, "offset_ms", 0))


def _list_members(namespace: Namespace, cluster: Cluster) -> Iterator[tuple[ClusterNode, Address]]:
    """Every node that serves slots or follows one that does, the primaries first, and where it is reached."""
    try:
        places = read_node_addresses(*cluster.ask_any("CLUSTER", "SLOTS"))
        text, _ = cluster.ask_any("CLUSTER", "NODES")
    except redis.RedisError as error:
        raise translate_error(error, redact_url(namespace.url)) from error
    members = parse_nodes(text.decode())
    for member in sorted(members, key=lambda each: each.is_replica):
        if member.is_replica or member.serves:
            # A replica that is not in step is not listed by its slots.
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
