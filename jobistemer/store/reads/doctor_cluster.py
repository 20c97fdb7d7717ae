"""Each node of a cluster by itself: what it says of itself, and of the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import redis

from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.core.reads.cluster_health import Member, View, judge_cluster, members_in
from jobistemer.core.reads.findings import Finding, at, fault, judge_replica, judge_server, warning
from jobistemer.store.clock import ServerClock
from jobistemer.store.database import Database
from jobistemer.store.errors import translated
from jobistemer.store.namespace import Namespace
from jobistemer.store.server.cluster_map import Address, Cluster, places_in
from jobistemer.store.server.urls import redacted

_UNREACHED: Final = "start it, or see why it cannot be reached from here"
_REFUSED: Final = "each node has users of its own: make the same on all of them"


def look_over_nodes(namespace: Namespace, cluster: Cluster) -> list[Finding]:
    """What there is to say of each node, and of the cluster they make. Raises NotConnected when no node answers."""
    found: list[Finding] = []
    views: dict[str, View] = {}
    for member, address in _members(namespace, cluster):
        name = f"{address[0]}:{address[1]}"
        node = _alone(namespace, cluster, address)
        try:
            found += at(name, _judged(node, member))
            if not member.is_replica:
                views[name] = _view(node)
        except NotConnected as error:
            found += at(name, [fault("node", f"it does not answer: {error.__cause__}", _UNREACHED)])
        except ServerRefused as error:
            found += at(name, [fault("node", str(error), _REFUSED)])
    return [*found, *judge_cluster(views)]


def _alone(namespace: Namespace, cluster: Cluster, address: Address) -> Database:
    """A node by itself, with its own clock, whatever shards it has."""
    shown = f"{urlsplit(namespace.url).scheme}://{address[0]}:{address[1]}"
    return Database(cluster.client(address), namespace.settings.keys, ServerClock(), shown)


def told_by(node: Database) -> Mapping[str, Any] | Finding:
    """What a server tells about itself, or the finding that it does not."""
    try:
        told: Mapping[str, Any] = node.ask("INFO")
    except ServerRefused as error:
        return warning("server", "it tells nothing about itself", f"let this user run INFO: {error}")
    return told


def offset_ms(node: Database) -> int:
    """How far the clock of a server, which it has just been asked for, is ahead of this machine's."""
    return int(getattr(node.clock, "offset_ms", 0))


def _members(namespace: Namespace, cluster: Cluster) -> Iterator[tuple[Member, Address]]:
    """Every node that serves slots or follows one that does, the primaries first, and where it is reached."""
    try:
        places = places_in(*cluster.ask_any("CLUSTER", "SLOTS"))
        text, _ = cluster.ask_any("CLUSTER", "NODES")
    except redis.RedisError as error:
        raise translated(error, redacted(namespace.url)) from error
    members = members_in(text.decode())
    for member in sorted(members, key=lambda each: each.is_replica):
        if member.is_replica or member.serves:
            # A replica that is not in step is not listed by its slots.
            host, _, port = member.name.rpartition(":")
            yield member, places.get(member.id, (host, int(port)))


def _judged(node: Database, member: Member) -> list[Finding]:
    node.read_clock()
    told = told_by(node)
    if isinstance(told, Finding):
        return [told]
    return (judge_replica if member.is_replica else judge_server)(told, offset_ms(node))


def _view(node: Database) -> View:
    return View(node.ask("CLUSTER INFO"), members_in(node.ask("CLUSTER", "NODES").decode()))
