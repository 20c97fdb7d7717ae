import pytest

from jobistemer.core.errors import InvalidDefinition
from jobistemer.core.jobs.graph import check_graph, find_ready, find_released, find_skipped

CHAIN = {"a": (), "b": ("a",), "c": ("b",)}
DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
PARALLEL = {"a": (), "b": (), "c": ()}
BACKWARDS = {"c": ("b",), "b": ("a",), "a": ()}


@pytest.mark.parametrize(
    ("edges", "tasks"),
    [(CHAIN, ["a"]), (DIAMOND, ["a"]), (PARALLEL, ["a", "b", "c"]), (BACKWARDS, ["a"])],
)
def test_tasks_that_wait_for_nothing_are_ready(edges, tasks):
    assert find_ready(edges) == tasks


@pytest.mark.parametrize(
    ("edges", "task", "tasks"),
    [
        (CHAIN, "a", ["b"]),
        (CHAIN, "c", []),
        (DIAMOND, "a", ["b", "c"]),
        (DIAMOND, "b", ["d"]),
        (PARALLEL, "a", []),
        (BACKWARDS, "b", ["c"]),
    ],
)
def test_a_success_releases_those_that_wait_for_it_directly(edges, task, tasks):
    assert find_released(edges, task) == tasks


@pytest.mark.parametrize(
    ("edges", "task", "tasks"),
    [
        (CHAIN, "a", ["b", "c"]),
        (CHAIN, "c", []),
        (DIAMOND, "b", ["d"]),
        (DIAMOND, "a", ["b", "c", "d"]),
        (PARALLEL, "a", []),
        (BACKWARDS, "a", ["c", "b"]),
    ],
)
def test_a_failure_skips_all_that_comes_after_near_and_far(edges, task, tasks):
    assert find_skipped(edges, task) == tasks


@pytest.mark.parametrize("edges", [CHAIN, DIAMOND, PARALLEL, BACKWARDS])
def test_a_graph_without_a_circle_is_accepted(edges):
    check_graph("report", edges, len(edges))


@pytest.mark.parametrize(
    ("edges", "declared", "reason"),
    [
        ({"a": ()}, 2, "two tasks of the same name"),
        ({"a": ("x",)}, 1, "comes after 'x', which is no task of this job; its tasks are a"),
        ({"a": ("a",)}, 1, "tasks a wait for one another in a circle"),
        ({"a": ("c",), "b": ("a",), "c": ("b",)}, 3, "tasks a, b, c wait for one another"),
        ({"start": (), "a": ("start", "b"), "b": ("a",)}, 3, "tasks a, b wait for one another"),
        ({"a": (), "b": ("a", "a")}, 2, "task 'b' names a task twice"),
    ],
)
def test_a_graph_that_cannot_be_is_refused_with_the_reason(edges, declared, reason):
    with pytest.raises(InvalidDefinition, match=f"job 'report'.*{reason}"):
        check_graph("report", edges, declared)
