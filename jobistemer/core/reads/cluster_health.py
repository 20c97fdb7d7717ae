"""The health of a cluster: findings from what its nodes report of one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from jobistemer.core.reads.findings import Finding, at_node, fault, fine, warning

SLOTS: Final = 16_384
MAX_NAMED: Final = 20
"""How many shards of a node are listed by number."""
_CHECK_HINT: Final = "see `redis-cli --cluster check`"


class ClusterNode(NamedTuple):
    """A node as another node describes it, or as it describes itself.

    flags: such as `master`, `slave`, `myself`, `fail?` and `fail`. primary: the id of the node that it is a replica of.
    open_slots: the slots that are being moved from or to it; only a node itself reports these.
    """

    id: str
    name: str
    flags: frozenset[str]
    primary: str
    serves: bool
    open_slots: tuple[str, ...]

    @property
    def is_replica(self) -> bool:
        """Return whether it follows another node."""
        return "slave" in self.flags

    @property
    def is_lost(self) -> bool:
        """Return whether the reporting node cannot reach it."""
        return bool(self.flags & {"fail", "fail?"})


class NodeView(NamedTuple):
    """The report of one node: its `CLUSTER INFO`, and its `CLUSTER NODES`."""

    info: Mapping[str, str]
    members: Sequence[ClusterNode]


def parse_nodes(text: str) -> list[ClusterNode]:
    """Parse the lines of `CLUSTER NODES`."""
    return [_parse_node(line.split()) for line in text.splitlines() if line.strip()]


def _parse_node(words: Sequence[str]) -> ClusterNode:
    own_id, address, flags, primary = words[:4]
    slots = words[8:]
    return ClusterNode(
        own_id,
        address.partition("@")[0],
        frozenset(flags.split(",")),
        primary.strip("-"),
        any(not each.startswith("[") for each in slots),
        tuple(each[1:].partition("-")[0] for each in slots if each.startswith("[")),
    )


def check_cluster(views: Mapping[str, NodeView]) -> list[Finding]:
    """Check a cluster by the reports of its primaries, by their names."""
    seen = [finding for name, view in views.items() for finding in at_node(name, _check_view(view))]
    unreplicated = [finding for view in list(views.values())[:1] for finding in _find_unreplicated(view.members)]
    return [*seen, *_find_lost(views), *unreplicated]


def _check_view(view: NodeView) -> Iterator[Finding]:
    yield check_slots(view.info)
    for slot in (slot for member in view.members for slot in member.open_slots):
        yield warning(
            "cluster",
            f"slot {slot} is half way to another node",
            "a shard in it stands still until it has arrived: when nobody is moving it, `redis-cli --cluster fix`",
        )


def check_slots(info: Mapping[str, str]) -> Finding:
    """Check that all slots are served, by the `CLUSTER INFO` of one node."""
    shown = f"{info.get('cluster_state')}, {info.get('cluster_slots_ok')} of {SLOTS} slots are served"
    if info.get("cluster_state") == "ok" and info.get("cluster_slots_ok") == str(SLOTS):
        return fine("cluster", shown)
    return fault("cluster", shown, f"{_CHECK_HINT}; shards whose slots are not served stand still")


def _find_lost(views: Mapping[str, NodeView]) -> Iterator[Finding]:
    """Find nodes that others cannot reach, each once."""
    lost: dict[str, list[str]] = {}
    for name, view in views.items():
        for member in (each for each in view.members if each.is_lost):
            lost.setdefault(member.name, []).append(name)
    for member_name, observers in lost.items():
        shown = f"{', '.join(observers)} cannot reach it"
        remedy = f"start it, or let the others forget it (`CLUSTER FORGET`); {_CHECK_HINT}"
        yield from at_node(member_name, [fault("cluster", shown, remedy)])


def _find_unreplicated(members: Sequence[ClusterNode]) -> Iterator[Finding]:
    """Find nodes without a replica where others have one, which is seldom meant."""
    followed = {each.primary for each in members if each.is_replica and not each.is_lost}
    for member in (each for each in members if followed and each.serves and each.id not in followed):
        remedy = "others have one; when this node is lost, its shards wait until it is back: add a replica"
        yield from at_node(member.name, [warning("replicas", "none", remedy)])


def check_shard_spread(shards: Mapping[str, Sequence[int]]) -> Iterator[Finding]:
    """Check how the shards of a namespace, by number, are spread over the nodes that serve slots."""
    total = sum(len(numbers) for numbers in shards.values())
    for name, numbers in shards.items():
        shown = f"{len(numbers) or 'none'} of {total}"
        if not numbers and total >= len(shards):
            remedy = "it does nothing for this namespace, and others do its part: move the slot of a shard there"
            yield from at_node(name, [warning("shards", shown, remedy)])
            continue
        named = ", ".join(map(str, numbers[:MAX_NAMED])) + (", …" if len(numbers) > MAX_NAMED else "")
        yield from at_node(name, [fine("shards", f"{shown}: {named}" if numbers else shown)])
