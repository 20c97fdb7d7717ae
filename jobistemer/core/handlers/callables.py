"""What a task is made of: functions, methods of an object, partials and objects that can be called.

Introspection of what users write fails in many ways. Each becomes an InvalidDefinition that names the task and the
remedy.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from types import FunctionType
from typing import Any, NamedTuple, get_type_hints
from weakref import WeakKeyDictionary

from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidDefinition


class CallableInfo(NamedTuple):
    """The parameters of a callable and their types.

    is_coroutine: calling it returns a coroutine. hints: the resolved annotations by parameter, and `return`.
    """

    signature: inspect.Signature
    hints: Mapping[str, Any]
    is_coroutine: bool


_known_functions = WeakKeyDictionary[FunctionType, CallableInfo]()


def find_name(function: Any, name: str | None) -> str:
    """Return the name of the task that is made of a callable: the given one, else that of the function.

    Raises InvalidDefinition for what is no callable, and for one that has no name of its own.
    """
    _check_callable(function)
    found = getattr(_without_partials(function), "__name__", None) if name is None else name
    if found is None:
        raise InvalidDefinition(f"{show(function)} has no name of its own: give one, app.task(name=…)(…)")
    return found


def read_callable(task: str, function: Callable[..., Any]) -> CallableInfo:
    """Read what a worker has to know of the callable behind a task; a plain function is read once.

    Raises InvalidDefinition for a callable that cannot be called with a payload, which has named arguments only.
    """
    # A loop that declares thousands of jobs gives them the same function, and reading it takes longer than all else.
    if not isinstance(function, FunctionType):
        return _read_callable(task, function)
    if (found := _known_functions.get(function)) is None:
        found = _known_functions[function] = _read_callable(task, function)
    return found


def _read_callable(task: str, function: Callable[..., Any]) -> CallableInfo:
    _check_callable(function)
    inner = _inner_function(function)
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise InvalidDefinition(
            f"task {task!r} yields, so calling it would run nothing of it: "
            "return a list, or enqueue a call for each item"
        )
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise InvalidDefinition(
            f"task {task!r}: its parameters cannot be read: {error}; write a function around it that names them"
        ) from None
    for parameter in signature.parameters.values():
        _check_parameter(task, parameter)
    return CallableInfo(signature, _read_hints(task, inner), inspect.iscoroutinefunction(inner))


def _check_callable(function: object) -> None:
    # Calling a class makes an object, which is no result.
    if not callable(function) or isinstance(_without_partials(function), type):
        raise InvalidDefinition(f"a task is made of a function, not of {show(function)}; write @app.task(name=…)")


def _without_partials(function: Any) -> Any:
    while isinstance(function, partial):
        function = function.func
    return function


def _inner_function(function: Any) -> Any:
    """Return the function that has the code and the annotations of a partial or of an object."""
    function = _without_partials(function)
    if inspect.isroutine(function) or isinstance(function, type) or hasattr(function, "__wrapped__"):
        return function
    return type(function).__call__


def _check_parameter(task: str, parameter: inspect.Parameter) -> None:
    name = parameter.name
    if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise InvalidDefinition(
            f"task {task!r}: parameter {parameter} cannot be given by name; a payload is an object of names",
        )
    if name == "self":
        raise InvalidDefinition(
            f"task {task!r} has a parameter self: a method is made a task of an object, app.task(object.method), "
            "and a parameter of a function needs another name"
        )
    if name.startswith("__"):
        raise InvalidDefinition(
            f"task {task!r}: parameter {name!r} begins with two underscores, which classes change; use another name"
        )


def _read_hints(task: str, function: Any) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        missing = f"import {error.name} outside of `if TYPE_CHECKING`" if error.name else "import what it names"
        raise InvalidDefinition(f"task {task!r}: an annotation cannot be resolved: {error}; {missing}") from None
    except (TypeError, ValueError, AttributeError, SyntaxError, LookupError, RecursionError) as error:
        raise InvalidDefinition(
            f"task {task!r}: its annotations cannot be read: {type(error).__name__}: {error}"
        ) from None
