"""What an app gives its handlers beside their arguments: state that each worker makes, and values of providers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidDefinition, InvalidInput, InvalidPayload
from jobistemer.core.handlers.callables import read_callable
from jobistemer.core.handlers.dependencies import Providers
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.handlers.worker_hooks import State, WorkerHooks

H = TypeVar("H", bound=Callable[[], Any])


class WorkerResources:
    """The state, the providers and the start and stop functions of an app.

    state: attributes that are kept in this process. dependency_overrides: providers by the providers that they stand
    for, which a test may set and clear at any time.
    """

    def __init__(self) -> None:
        self.state: Any = State()
        self.worker_hooks = WorkerHooks()
        self.providers = Providers()
        self.handlers: dict[str, Handler] = {}

    @property
    def dependency_overrides(self) -> dict[Callable[..., Any], Callable[..., Any]]:
        """The providers that are called in place of others: `app.dependency_overrides[get_session] = fake_session`."""
        return self.providers.overrides

    def on_worker_start(self, function: H) -> H:
        """Have each worker process call a function or coroutine function before its first run.

        So does each handler process beside a worker. Coroutine functions are awaited on the event loop on which
        handlers run. An exception ends the worker. Raises InvalidDefinition.
        """
        return self.worker_hooks.on_start(function)

    def on_worker_stop(self, function: H) -> H:
        """Have each worker process call a function or coroutine function after its last run, the last added first.

        Those of a worker may take five seconds together. A process that was killed calls none. Raises
        InvalidDefinition.
        """
        return self.worker_hooks.on_stop(function)

    def provide(self, what: Any, provider: Callable[..., Any]) -> None:
        """Fill parameters of tasks by their type or their name: `app.provide(Pool, get_pool)`, `("pool", get_pool)`.

        It holds for the tasks that are declared afterwards. provider: as in `Depends`. Raises InvalidDefinition for a
        provider that cannot be called, and when an earlier task has such a parameter.
        """
        self.providers.add(what, provider)
        for handler in self.handlers.values():
            hints = read_callable(handler.name, handler.function).hints
            if what in handler.parameters or any(hints.get(name) == what for name in handler.parameters):
                raise InvalidDefinition(
                    f"task {handler.name!r} takes {show(what)} from its callers, since it was declared before "
                    "app.provide(…): provide first"
                )


def check_dependencies_given(handler: Handler, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Check that a call within this process gives all dependencies. Raises InvalidInput."""
    given = _bind(handler, args, kwargs)
    missing = [name for name in handler.dependencies if name not in given]
    if missing:
        raise InvalidInput(
            f"task {handler.name!r} was called in this process without {', '.join(missing)}: give it by name, as "
            f"{handler.name}(…, {missing[0]}=…); a worker fills it when the call is enqueued"
        )


def bind_call(handler: Handler, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call within this process by name. Raises InvalidPayload when they do not fit."""
    return _bind(handler, args, kwargs) if handler.dependencies else handler.bind(args, kwargs)


def _bind(handler: Handler, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    try:
        return dict(inspect.signature(handler.function).bind_partial(*args, **kwargs).arguments)
    except TypeError as error:
        raise InvalidPayload(f"task {handler.name!r} cannot be called so: {error}") from None
