"""The tasks of a job as a graph: what is ready at once, what an ended task releases or skips."""

from __future__ import annotations

from collections.abc import Mapping

from jobistemer.core.errors import InvalidDefinition

Edges = Mapping[str, tuple[str, ...]]
"""Task name -> names of the tasks that must have succeeded before it."""


def check_graph(job: str, edges: Edges, declared: int) -> None:
    """Raise InvalidDefinition unless names are unique, edges lead once to tasks of the job, in no circle."""
    if len(edges) != declared:
        raise InvalidDefinition(f"job {job!r} has two tasks of the same name; names of a job's tasks are unique")
    for task, upstream in edges.items():
        if len(set(upstream)) != len(upstream):
            # Released once by each task it comes after, it would wait for the second mention for ever.
            raise InvalidDefinition(f"job {job!r}: task {task!r} names a task twice in after={list(upstream)}")
        for name in upstream:
            if name not in edges:
                raise InvalidDefinition(
                    f"job {job!r}: task {task!r} comes after {name!r}, which is no task of this job; "
                    f"its tasks are {', '.join(edges)}",
                )
    _check_acyclic(job, edges)


def _check_acyclic(job: str, edges: Edges) -> None:
    left = dict(edges)
    while left:
        free = [task for task, upstream in left.items() if not any(name in left for name in upstream)]
        if not free:
            raise InvalidDefinition(f"job {job!r}: tasks {', '.join(left)} wait for one another in a circle")
        for task in free:
            del left[task]


def find_ready(edges: Edges) -> list[str]:
    """The tasks that wait for nothing."""
    return [task for task, upstream in edges.items() if not upstream]


def find_released(edges: Edges, task: str) -> list[str]:
    """The tasks that wait for `task` directly: its success takes one from what they wait for."""
    return [name for name, upstream in edges.items() if task in upstream]


def find_skipped(edges: Edges, task: str) -> list[str]:
    """The tasks that can never run once `task` has failed: all that come after it, near and far."""
    doomed = {task}
    # A definition may name its tasks in any order, so go on until a round finds nothing new.
    while found := {name for name, upstream in edges.items() if doomed.intersection(upstream)} - doomed:
        doomed |= found
    return [name for name in edges if name in doomed and name != task]


def find_upstream(edges: Edges, after: tuple[str, ...]) -> list[str]:
    """The tasks that must have succeeded before one that comes after `after`: those and all before them."""
    found = dict.fromkeys(after)
    left = list(found)
    while left:
        fresh = [name for name in edges.get(left.pop(), ()) if name not in found]
        found |= dict.fromkeys(fresh)
        left += fresh
    return list(found)
