"""What `@app.task(…)`, `@app.job(…)`, `@job.task(…)` and `.do(…)` make of a function, as type checkers see it.

A context that is the first parameter is the worker's to give, so checkers hide it from callers. Elsewhere they cannot:
annotate it as `ctx: Context | None = None` there, so that callers may leave it out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from jobistemer.app.handles import TaskHandle
from jobistemer.core.handlers.context import Context

P = ParamSpec("P")
R = TypeVar("R")


class TaskDecorator:
    """Makes a task of a function; the task has its parameters and its result."""

    def __init__(self, make: Callable[[Callable[..., Any]], TaskHandle[Any, Any]]) -> None:
        self._make = make

    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], Awaitable[R]], /) -> TaskHandle[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], R], /) -> TaskHandle[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, Awaitable[R]], /) -> TaskHandle[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> TaskHandle[P, R]: ...
    def __call__(self, function: Callable[..., Any], /) -> Any:
        """Declare the function. Raises InvalidDefinition or InvalidName."""
        return self._make(function)


class Do(Protocol):
    """What `.do` of a schedule in words is: it makes a job of a function; policies are those of `app.job`."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[Context, P], Awaitable[R]], /, **policies: Any
    ) -> TaskHandle[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], R], /, **policies: Any) -> TaskHandle[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, Awaitable[R]], /, **policies: Any) -> TaskHandle[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /, **policies: Any) -> TaskHandle[P, R]: ...
