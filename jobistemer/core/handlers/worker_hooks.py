"""Functions that a worker calls at its start and its end, and the state that they share with handlers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar

from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidDefinition

WorkerHook = Callable[[], Any]
"""A function or coroutine function without parameters."""
H = TypeVar("H", bound=WorkerHook)


class State:
    """The attributes that an application keeps in a process, such as a database pool: `app.state.pool = …`."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"app.state has no {name!r} in this process; set it in a function of @app.on_worker_start, which each "
            "worker and each handler process calls at its start"
        )

    # Type checkers allow any attribute of a class that has this method.
    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


class WorkerHooks:
    """The functions of an app that each worker process calls: at its start in order, at its end in reverse order."""

    def __init__(self) -> None:
        self.starting: list[WorkerHook] = []
        self.stopping: list[WorkerHook] = []

    def on_start(self, hook: H) -> H:
        """Add a function that is called before the first run. Raises InvalidDefinition."""
        self.starting.append(_check_hook("on_worker_start", hook))
        return hook

    def on_stop(self, hook: H) -> H:
        """Add a function that is called after the last run. Raises InvalidDefinition."""
        self.stopping.append(_check_hook("on_worker_stop", hook))
        return hook


def call_worker_hook(hook: WorkerHook, wait_for: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
    """Call a function of an app; wait_for executes the coroutine that it returns on an event loop, and waits."""
    found = hook()
    if inspect.iscoroutine(found):
        wait_for(found)


def is_asynchronous(hook: WorkerHook) -> bool:
    """Return whether calling a function of an app returns a coroutine."""
    return inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(getattr(hook, "__call__", None))  # noqa: B004 - the method of an object, not whether there is one


def _check_hook(event: str, hook: Any) -> Any:
    if not callable(hook) or inspect.isgeneratorfunction(hook) or inspect.isasyncgenfunction(hook):
        raise InvalidDefinition(f"{event} is given {show(hook)}, allowed is a function or a coroutine function")
    try:
        inspect.signature(hook).bind()
    except (TypeError, ValueError) as error:
        raise InvalidDefinition(
            f"{event} calls its functions without arguments, and {getattr(hook, '__qualname__', show(hook))} cannot be "
            f"called so: {error}; what it makes is kept in app.state"
        ) from None
    return hook
