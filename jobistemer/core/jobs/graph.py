"""The tasks of a job as a graph: which are ready at once, which an ended task releases or skips."""

from __future__ import annotations

from collections.abc import Mapping

from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidDefinition

Edges = Mapping[str, tuple[str, ...]]
"""Task name to the names of the tasks that must have succeeded before that task."""


def check_graph(job: str, edges: Edges, declared: int) -> None:
    """Check that the names of a job's tasks are unique and that their edges make no circle.

    edges: task name to the names in its `after`. declared: how many tasks the job has. Raises InvalidDefinition for two
    tasks of one name, for an edge to a task of another job or to the same task twice, and for a circle.
    """
    if len(edges) != declared:
        raise InvalidDefinition(f"job {show(job)} has two tasks of the same name; names of a job's tasks are unique")
    for task, upstream in edges.items():
        if len(set(upstream)) != len(upstream):
            # Each upstream task releases it once, while it counts both mentions: it would wait for ever.
            raise InvalidDefinition(f"job {show(job)}: task {show(task)} names a task twice in after={list(upstream)}")
        for name in upstream:
            if name not in edges:
                raise InvalidDefinition(
                    f"job {show(job)}: task {show(task)} comes after {show(name)}, which is no task of this job; "
                    f"its tasks are {', '.join(edges)}",
                )
    _check_acyclic(job, edges)


def _check_acyclic(job: str, edges: Edges) -> None:
    left = dict(edges)
    while left:
        free = [task for task, upstream in left.items() if not any(name in left for name in upstream)]
        if not free:
            raise InvalidDefinition(f"job {show(job)}: tasks {', '.join(left)} wait for one another in a circle")
        for task in free:
            del left[task]


def find_ready(edges: Edges) -> list[str]:
    """Return the tasks that wait for no other task."""
    return [task for task, upstream in edges.items() if not upstream]


def find_released(edges: Edges, task: str) -> list[str]:
    """Return the tasks that wait for `task` directly: its success takes one from what each still waits for."""
    return [name for name, upstream in edges.items() if task in upstream]


def find_skipped(edges: Edges, task: str) -> list[str]:
    """Return the tasks that can never run once `task` has failed: all tasks after it, direct and indirect."""
    doomed = {task}
    # Tasks may stand in any order in a definition, so one pass over them is not enough: repeat until nothing is new.
    while found := {name for name, upstream in edges.items() if doomed.intersection(upstream)} - doomed:
        doomed |= found
    return [name for name in edges if name in doomed and name != task]


def find_upstream(edges: Edges, after: tuple[str, ...]) -> list[str]:
    """Return the tasks that must have succeeded before a task with this `after`: these and all before them."""
    found = dict.fromkeys(after)
    left = list(found)
    while left:
        fresh = [name for name in edges.get(left.pop(), ()) if name not in found]
        found |= dict.fromkeys(fresh)
        left += fresh
    return list(found)
