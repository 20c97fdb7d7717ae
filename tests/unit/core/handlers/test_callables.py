"""What a task can be made of, and what is refused, always as an InvalidDefinition that says what to do."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from jobistemer import InvalidDefinition, Jobistemer
from jobistemer.testing import under_test

if TYPE_CHECKING:
    from nowhere import Nowhere  # type: ignore[import-not-found] # what only type checkers know is the case


def add(a: int, b: int) -> int:
    return a + b


class Adder:
    handler = "an attribute that the handle of a task has too"

    def __call__(self, a: int, b: int) -> int:
        return a + b

    def add(self, a: int, b: int) -> int:
        return a + b

    async def add_async(self, a: int, b: int) -> int:
        return a + b

    @staticmethod
    def plain(a: int, b: int) -> int:
        return a + b

    @classmethod
    def of_class(cls, a: int, b: int) -> int:
        return a + b


class AsyncAdder:
    async def __call__(self, a: int, b: int) -> int:
        return a + b


@functools.wraps(add)
def wrapped(*args: Any, **kwargs: Any) -> int:
    return add(*args, **kwargs)


@pytest.mark.parametrize(
    "function",
    [
        functools.partial(add, 1),
        functools.partial(add, a=1),
        functools.partial(functools.partial(add), a=1),
        functools.partial(Adder(), a=1),
        functools.partial(Adder().add_async, a=1),
        Adder(),
        AsyncAdder(),
        Adder().add,
        Adder().add_async,
        Adder.plain,
        Adder.of_class,
        wrapped,
    ],
)
def test_whatever_can_be_called_with_named_arguments_is_made_a_task(function: Callable[..., Any]) -> None:
    app = Jobistemer("fake://callables")
    task = app.task(name="add")(function)
    with under_test(app) as jobs:
        run = app.enqueue("add", {"b": 2} if isinstance(function, functools.partial) else {"a": 1, "b": 2})
        jobs.run_until_idle()
        assert run.result(timeout=5) == 3
    assert task.handler.parameters[-1] == "b"


def test_a_partial_and_a_bound_method_have_the_name_of_their_function() -> None:
    app = Jobistemer("fake://callables")
    assert app.task(functools.partial(add, 1)).name == "add"
    assert app.job("0 2 * * *")(functools.partial(Adder().add_async, a=1, b=2)).name == "add_async"


def unresolved(value: Nowhere) -> None: ...


def misspelled(value: int.nothing) -> None: ...  # type: ignore[name-defined] # the case


def with_self(self: int) -> None: ...


def mangled(value: int, *, __x: int) -> int: ...  # type: ignore[empty-body]


def positional(value: int, /) -> None: ...


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (unresolved, "task 'broken': an annotation cannot be resolved: name 'Nowhere' .*; import Nowhere outside of `if"),
        (misspelled, "task 'broken': its annotations cannot be read: AttributeError"),
        (with_self, "task 'broken' has a parameter self: a method is made a task of an object, app.task"),
        (Adder.add, "task 'broken' has a parameter self"),
        (mangled, "task 'broken': parameter '__x' begins with two underscores"),
        (positional, "task 'broken': parameter value: 'int' cannot be given by name"),
        (functools.partial(max, 1), "task 'broken': its parameters cannot be read: no signature found"),
        (Adder, "a task is made of a function, not of <class"),
        (5, "a task is made of a function, not of 5"),
        (None, "a task is made of a function, not of None"),
    ],
)
def test_what_cannot_be_a_task_is_refused_by_name_and_leaves_no_trace(function: Any, message: str) -> None:
    app = Jobistemer("fake://callables")
    with pytest.raises(InvalidDefinition, match=message):
        app.task(name="broken")(function)
    with pytest.raises(InvalidDefinition, match=message):
        app.job("0 2 * * *", name="broken")(function)
    assert app.handlers == {}


def test_an_object_without_a_name_is_asked_for_one() -> None:
    with pytest.raises(InvalidDefinition, match="has no name of its own: give one, app.task"):
        Jobistemer("fake://callables").task(Adder())


@pytest.mark.parametrize("after", ["extract", [None], 5, [5]])
def test_what_is_no_task_cannot_come_before_one(after: Any) -> None:
    job = Jobistemer("fake://callables").job("0 2 * * *", name="nightly")
    with pytest.raises(InvalidDefinition, match="after (is|has)"):
        job.task(after=after)(add)
