"""The picture of a task graph: a box for each task in layers from left to right, and a line for each dependency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from jobistemer.core.jobs.job import Job
from jobistemer.core.runs.report import GroupReport, Report
from jobistemer.web.charts.templating import tone_of

BOX_WIDTH: Final = 168
BOX_HEIGHT: Final = 46
BAR_HEIGHT: Final = 5
"""The height of the bar at the lower edge of the box of a group: what is done of it."""
GAP_X: Final = 56
GAP_Y: Final = 16
MARGIN: Final = 10
MAX_LABEL: Final = 20
MAX_NOTE: Final = 24
MAX_PLACES: Final = 300
"""A graph with more tasks and bends is not drawn: its table says more than lines that nobody can follow."""
SWEEPS: Final = 4
"""How often the layers are put in order, forwards, by the middle of what they are connected to."""


class Node(NamedTuple):
    """One task of a graph.

    after: the names of those before it. note: the line below its name. done: 0 to 1, of a group.
    """

    name: str
    after: Sequence[str] = ()
    state: str = ""
    note: str = ""
    link: str = ""
    done: float | None = None


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
    """Boxes, and the paths of the lines between them, each with the tone of the task that it comes from."""

    width: int
    height: int
    boxes: list[Box]
    lines: list[tuple[str, str]]
    box_width: int = BOX_WIDTH
    box_height: int = BOX_HEIGHT
    bar_height: int = BAR_HEIGHT


class Routes(NamedTuple):
    """The lines of a graph. A line that spans several layers is led through a bend in each of them.

    before: the names of the tasks and bends that lines come from, by the name of the task or bend that they lead to.
    origins: the task that the line through a bend comes from, by the name of the bend.
    """

    before: dict[str, list[str]]
    origins: dict[str, str]


def draw_graph(nodes: Sequence[Node]) -> Drawing | None:
    """Place the tasks of a graph; None for a single task, and for more than MAX_PLACES tasks and bends."""
    if not 1 < len(nodes) <= MAX_PLACES:
        return None
    layers = _layer(nodes)
    routes = _route(nodes, layers)
    tallest = max(map(len, layers))
    if sum(map(len, layers)) > MAX_PLACES:
        return None
    _order(layers, routes.before)
    height = 2 * MARGIN + tallest * BOX_HEIGHT + (tallest - 1) * GAP_Y
    corners: dict[str, tuple[int, int]] = {}
    for column, layer in enumerate(layers):
        top = (height - len(layer) * BOX_HEIGHT - (len(layer) - 1) * GAP_Y) // 2
        x = MARGIN + column * (BOX_WIDTH + GAP_X)
        corners |= {name: (x, top + row * (BOX_HEIGHT + GAP_Y)) for row, name in enumerate(layer)}
    boxes = {node.name: _place(node, *corners[node.name]) for node in nodes}
    width = 2 * MARGIN + len(layers) * BOX_WIDTH + (len(layers) - 1) * GAP_X
    return Drawing(width, height, list(boxes.values()), _draw_lines(routes, corners, boxes))


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


def _layer(nodes: Sequence[Node]) -> list[list[str]]:
    """Put the name of each node into the layer behind the last of those before it."""
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
    layers: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    for name, number in depth.items():
        layers[number].append(name)
    return [layer for layer in layers if layer]


def _route(nodes: Sequence[Node], layers: list[list[str]]) -> Routes:
    """Lead a line that spans several layers through a place of its own in each of them, so it crosses no box."""
    at = {name: number for number, layer in enumerate(layers) for name in layer}
    routes = Routes({node.name: [] for node in nodes}, {})
    for node in nodes:
        for name in node.after:
            if name in at:
                last = _lead(layers, routes, name, node.name, range(at[name] + 1, at[node.name]))
                routes.before[node.name].append(last)
    return routes


def _lead(layers: list[list[str]], routes: Routes, before: str, to: str, passed: range) -> str:
    """Add the bends in the layers between two tasks; return the name of the last one, or `before` for none."""
    last = before
    for number in passed:
        # No task has such a name.
        bend = f"{before} → {to} {number}"
        layers[number].append(bend)
        routes.before[bend] = [last]
        routes.origins[bend] = before
        last = bend
    return last


def _order(layers: list[list[str]], before: Mapping[str, Sequence[str]]) -> None:
    """Order each layer by the middle of what its places come from, then of what follows, so that few lines cross."""
    following: dict[str, list[str]] = {name: [] for name in before}
    for name, sources in before.items():
        for source in sources:
            following[source].append(name)
    for sweep in range(SWEEPS):
        rows = {name: (row + 0.5) / len(layer) for layer in layers for row, name in enumerate(layer)}
        near = following if sweep % 2 else before
        for layer in layers:
            middles = {name: _middle(near[name], rows, rows[name]) for name in layer}
            layer.sort(key=middles.__getitem__)
            rows |= {name: (row + 0.5) / len(layer) for row, name in enumerate(layer)}


def _middle(names: Sequence[str], rows: Mapping[str, float], default: float) -> float:
    return sum(rows[name] for name in names) / len(names) if names else default


def _place(node: Node, x: int, y: int) -> Box:
    bar = round(BOX_WIDTH * node.done, 1) if node.done is not None else 0
    tone = tone_of(node.state) if node.state else "mute"
    note = node.note or node.state.replace("_", " ")
    return Box(node, x, y, _cut(node.name, MAX_LABEL), _cut(note, MAX_NOTE), tone, bar)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _draw_lines(
    routes: Routes, corners: Mapping[str, tuple[int, int]], boxes: Mapping[str, Box]
) -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    for end, sources in routes.before.items():
        # Through a bend the line goes on, as far as a box would reach.
        through = f"H{corners[end][0] + BOX_WIDTH}" if end in routes.origins else ""
        for start in sources:
            origin = routes.origins.get(start, start)
            lines.append((f"{_connect(corners[start], corners[end])}{through}", boxes[origin].tone))
    return lines


def _connect(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1 = start[0] + BOX_WIDTH, start[1] + BOX_HEIGHT // 2
    x2, y2 = end[0], end[1] + BOX_HEIGHT // 2
    bend = max(24, (x2 - x1) // 2)
    return f"M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
