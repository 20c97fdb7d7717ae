"""The picture of a task graph: a box for each task in layers from left to right, and a line for each dependency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from jobistemer.core.jobs.job import Job
from jobistemer.core.runs.report import GroupReport, Report
from jobistemer.web.charts.templating import tone_of

BOX_WIDTH: Final = 168
BOX_HEIGHT: Final = 46
GAP_X: Final = 56
GAP_Y: Final = 16
MARGIN: Final = 10
MAX_LABEL: Final = 20
MAX_NOTE: Final = 24
MAX_BOXES: Final = 150
"""A graph with more tasks is not drawn: its table says more than lines that nobody can follow."""
SWEEPS: Final = 4
"""How often the layers are put in order, forwards, by the middle of what they are connected to."""


class Node(NamedTuple):
    """One task of a graph.

    after: the names of those before it. note: the line below its name. done: 0 to 1, of a group. is_bend: no task, but
    the place where a line passes a layer.
    """

    name: str
    after: Sequence[str] = ()
    state: str = ""
    note: str = ""
    link: str = ""
    done: float | None = None
    is_bend: bool = False


class Box(NamedTuple):
    """The place of a node. tone: the class of its colour. bar: the width of what is done of its group; 0 for none."""

    node: Node
    x: int
    y: int
    label: str
    note: str
    tone: str
    bar: float


class Drawing(NamedTuple):
    """Boxes, and the paths of the lines between them, each with the tone of what it comes from."""

    width: int
    height: int
    boxes: list[Box]
    lines: list[tuple[str, str]]


def draw_graph(nodes: Sequence[Node]) -> Drawing | None:
    """Place the tasks of a graph; None for a single task, and for more than MAX_BOXES."""
    if not 1 < len(nodes) <= MAX_BOXES:
        return None
    layers = _layer(nodes)
    _add_bends(layers)
    layers = _order(layers, {each.name: each for layer in layers for each in layer})
    tallest = max(map(len, layers))
    height = 2 * MARGIN + tallest * BOX_HEIGHT + (tallest - 1) * GAP_Y
    boxes: dict[str, Box] = {}
    for column, layer in enumerate(layers):
        top = (height - len(layer) * BOX_HEIGHT - (len(layer) - 1) * GAP_Y) // 2
        for row, node in enumerate(layer):
            x, y = MARGIN + column * (BOX_WIDTH + GAP_X), top + row * (BOX_HEIGHT + GAP_Y)
            boxes[node.name] = _place(node, x, y)
    lines = [_connect(boxes[name], box) for box in boxes.values() for name in box.node.after if name in boxes]
    width = 2 * MARGIN + len(layers) * BOX_WIDTH + (len(layers) - 1) * GAP_X
    return Drawing(width, height, [box for box in boxes.values() if not box.node.is_bend], lines)


def nodes_of_job(job: Job) -> list[Node]:
    """Return the tasks of a job, without states."""
    return [Node(task.name, task.after, note="" if task.handler == task.name else task.handler) for task in job.tasks]


def nodes_of_report(report: Report, job: Job) -> list[Node]:
    """Return the tasks of an occurrence with their states; a task that has mapped has a box for its runs as well."""
    after = {task.name: task.after for task in job.tasks}
    nodes: list[Node] = []
    for task in report.tasks:
        nodes.append(Node(task.name, after.get(task.name, ()), str(task.state), link=f"/runs/{task.run}"))
        if task.group:
            nodes.append(node_of_group(task.name, task.group))
    return nodes


def node_of_group(parent: str, group: GroupReport, name: str = "") -> Node:
    """Return the box for the runs that a task has mapped. name: of the box, by default after the parent."""
    total, failed = group.total, f", {group.failed:,} failed" if group.failed else ""
    note = f"{group.done:,} of {total:,}{failed}"
    is_done = group.done >= total
    state = "failed" if group.failed else "succeeded" if is_done else "running"
    link = f"/runs/{group.reducer}" if group.reducer else ""
    return Node(name or f"{parent} × {total:,}", (parent,), state, note, link, group.done / total if total else 1.0)


def _layer(nodes: Sequence[Node]) -> list[list[Node]]:
    """Put each node into the layer behind the last of those before it."""
    depth: dict[str, int] = {}
    left = list(nodes)
    known = {node.name for node in nodes}
    while left:
        ready = [node for node in left if all(name in depth or name not in known for name in node.after)]
        if not ready:
            # Only a definition that was written by hand has a cycle: what is in it stands in the last layer.
            depth |= dict.fromkeys((node.name for node in left), max(depth.values(), default=-1) + 1)
            break
        depth |= {node.name: max((depth.get(name, -1) for name in node.after), default=-1) + 1 for node in ready}
        left = [node for node in left if node.name not in depth]
    layers: list[list[Node]] = [[] for _ in range(max(depth.values()) + 1)]
    for node in nodes:
        layers[depth[node.name]].append(node)
    return [layer for layer in layers if layer]


def _add_bends(layers: list[list[Node]]) -> None:
    """Lead a line that spans several layers through a place of its own in each of them, so it crosses no box."""
    at = {node.name: number for number, layer in enumerate(layers) for node in layer}
    for number, layer in enumerate(layers):
        for row, node in enumerate(layer):
            after = [_lead(layers, name, node.name, at.get(name, number), number) for name in node.after]
            layer[row] = node._replace(after=tuple(after))


def _lead(layers: list[list[Node]], before: str, to: str, first: int, last: int) -> str:
    """Add the bends between two layers; return the name of the last one, or `before` when there are none."""
    name = before
    for passed in range(first + 1, last):
        bend = Node(f"{before} → {to} {passed}", (name,), is_bend=True)
        layers[passed].append(bend)
        name = bend.name
    return name


def _order(layers: list[list[Node]], by_name: Mapping[str, Node]) -> list[list[Node]]:
    """Order each layer by the middle of what its nodes come from, then of what follows, so that few lines cross."""
    following: dict[str, list[str]] = {name: [] for name in by_name}
    for node in by_name.values():
        for name in node.after:
            following.setdefault(name, []).append(node.name)
    for sweep in range(SWEEPS):
        rows = {node.name: (row + 0.5) / len(layer) for layer in layers for row, node in enumerate(layer)}
        for layer in layers:
            near = {node.name: following[node.name] if sweep % 2 else node.after for node in layer}
            layer.sort(key=lambda node: _middle(near[node.name], rows, rows[node.name]))
            rows |= {node.name: (row + 0.5) / len(layer) for row, node in enumerate(layer)}
    return layers


def _middle(names: Sequence[str], rows: Mapping[str, float], default: float) -> float:
    found = [rows[name] for name in names if name in rows]
    return sum(found) / len(found) if found else default


def _place(node: Node, x: int, y: int) -> Box:
    bar = round(BOX_WIDTH * node.done, 1) if node.done is not None else 0
    tone = tone_of(node.state) if node.state else "mute"
    note = node.note or node.state.replace("_", " ")
    return Box(node, x, y, _cut(node.name, MAX_LABEL), _cut(note, MAX_NOTE), tone, bar)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _connect(start: Box, end: Box) -> tuple[str, str]:
    x1, y1 = start.x + BOX_WIDTH, start.y + BOX_HEIGHT // 2
    x2, y2 = end.x, end.y + BOX_HEIGHT // 2
    bend = max(24, (x2 - x1) // 2)
    through = f"H{x2 + BOX_WIDTH}" if end.node.is_bend else ""
    return f"M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}{through}", start.tone
