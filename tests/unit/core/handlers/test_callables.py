"""What a task can be made of, and what is refused, always as an InvalidDefinition that says what to do."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import pytest

from jobistemer import InvalidDefinition, Jobistemer
from jobistemer.core.handlers.callables import read_callable
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
        assert run.result(timeout=60) == 3
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
        (
            unresolved,
            "task 'broken': an annotation cannot be resolved: name 'Nowhere' .*; import Nowhere outside of `if",
        ),
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


def test_a_function_is_read_once_however_many_tasks_are_made_of_it():
    assert read_callable("first", add) is read_callable("second", add)


def test_an_error_in_a_function_that_was_refused_before_names_the_task_of_now():
    def stream():
        yield 1

    for task in ("first", "second"):
        with pytest.raises(InvalidDefinition, match=f"task '{task}' yields"):
            read_callable(task, stream)


def test_tasks_of_one_function_have_the_parameters_that_their_own_place_in_a_job_leaves_to_callers():
    app = Jobistemer("fake://callables")
    nightly = app.job("0 2 * * *", name="nightly")
    nightly.task(name="a")(lambda: 1)
    downstream, alone = nightly.task(after=["a"], name="sum", payload={"b": 2})(add), app.task(add)
    assert downstream.handler.parameters == ("b",)
    assert downstream.handler.decode(msgspec.Raw(b'{"b":2}')) == {"b": 2}
    assert alone.handler.decode(msgspec.Raw(b'{"a":1,"b":2}')) == {"a": 1, "b": 2}


def test_a_result_annotation_without_a_hash_is_read_too():
    def listing() -> Annotated[list[int], []]:
        return [1]

    task = Jobistemer("fake://callables").task(listing)
    assert task.handler.decode_result(task.handler.encode_result([1])) == [1]


def test_a_second_job_of_a_function_is_declared_in_few_steps():
    app, calls = Jobistemer("fake://callables"), 0

    def count(_frame, event, _arg):
        nonlocal calls
        calls += event == "call"

    def tidy() -> None: ...

    app.job("0 2 * * *", name="first")(tidy)
    sys.setprofile(count)
    try:
        app.job("0 2 * * *", name="second")(tidy)
    finally:
        sys.setprofile(None)
    assert calls < 120
