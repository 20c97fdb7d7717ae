"""The types of `@app.task(…)`, `@app.job(…)`, `@job.task(…)` and `.do(…)`: each makes a task of a function.

The worker supplies a context, so type checkers hide a first parameter of this type from callers. They cannot hide it
elsewhere: annotate it as `ctx: Context | None = None` there, so that callers may leave it out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from jobistemer.app.handles import TaskHandle
from jobistemer.core.handlers.context import Context

P = ParamSpec("P")
R = TypeVar("R")


class TaskDecorator:
    """A decorator that makes a task of a function; the task has the parameters and the result of the function."""

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
        """Declare the function as a task. Raises InvalidDefinition or InvalidName."""
        return self._make(function)


class Do(Protocol):
    """The type of `.do` after a schedule in words: it makes a job of a function; policies are those of `app.job`."""

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
