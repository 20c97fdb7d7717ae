"""The values of providers around the call of a handler: made before it, closed after it, whatever it raises.

An exception of the handler is raised in the generators as well, so that they can roll back. None of them can swallow
it: an attempt that has failed must not count as a success.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
    contextmanager,
)
from functools import partial
from typing import Any, NamedTuple

from jobistemer.core.errors import Misconfigured
from jobistemer.core.handlers.context import Context
from jobistemer.core.handlers.dependencies import Dependency, Provider, ProviderKind, read_provider
from jobistemer.core.handlers.handler import Handler

_CONTEXT_KEY = "context for the providers"
"""The name of the context on its way to handlers without a parameter for it; no identifier, so none of theirs."""
Overrides = Mapping[Callable[..., Any], Callable[..., Any]]


def provide_dependencies(handlers: Mapping[str, Handler], overrides: Overrides) -> Mapping[str, Handler]:
    """Return the handlers with their providers around them; the very same mapping when none has any.

    overrides: providers that are called in place of others; looked up at each call.
    """
    if not any(handler.dependencies for handler in handlers.values()):
        return handlers
    return {name: _wrap(each, overrides) if each.dependencies else each for name, each in handlers.items()}


class _Scope(NamedTuple):
    """One attempt: values by provider, so that all who ask one provider share its value."""

    context: Context
    overrides: Overrides
    values: dict[Any, Any]

    def read(self, dependency: Dependency) -> Provider:
        wanted: Any = dependency.provider
        return read_provider(self.overrides.get(wanted, wanted))


def _wrap(handler: Handler, overrides: Overrides) -> Handler:
    result = copy.copy(handler)
    result.context_parameter = handler.context_parameter or _CONTEXT_KEY
    wrap = _wrap_coroutine if handler.is_coroutine else _wrap_function
    result.function = wrap(handler, overrides)
    return result


def _open_scope(handler: Handler, arguments: dict[str, Any], overrides: Overrides) -> _Scope:
    wanted = handler.context_parameter
    context = arguments.pop(_CONTEXT_KEY) if wanted is None else arguments[wanted]
    return _Scope(context, overrides, {})


def _wrap_function(handler: Handler, overrides: Overrides) -> Callable[..., Any]:
    function, dependencies = handler.function, handler.dependencies

    def call(**arguments: Any) -> Any:
        scope = _open_scope(handler, arguments, overrides)
        with ExitStack() as stack:
            provided = {name: _provide(each, scope, stack) for name, each in dependencies.items()}
            return function(**arguments, **provided)

    return call


def _wrap_coroutine(handler: Handler, overrides: Overrides) -> Callable[..., Any]:
    function, dependencies = handler.function, handler.dependencies

    async def call(**arguments: Any) -> Any:
        scope = _open_scope(handler, arguments, overrides)
        async with AsyncExitStack() as stack:
            provided = {name: await _provide_async(each, scope, stack) for name, each in dependencies.items()}
            return await function(**arguments, **provided)

    return call


def _provide(dependency: Dependency, scope: _Scope, stack: ExitStack) -> Any:
    if dependency.cached and dependency.provider in scope.values:
        return scope.values[dependency.provider]
    provider = scope.read(dependency)
    arguments = {name: _provide(each, scope, stack) for name, each in provider.needs.items()}
    value = _call(provider, _add_context(provider, arguments, scope), stack)
    if dependency.cached:
        scope.values[dependency.provider] = value
    return value


async def _provide_async(dependency: Dependency, scope: _Scope, stack: AsyncExitStack) -> Any:
    if dependency.cached and dependency.provider in scope.values:
        return scope.values[dependency.provider]
    provider = scope.read(dependency)
    arguments = {name: await _provide_async(each, scope, stack) for name, each in provider.needs.items()}
    _add_context(provider, arguments, scope)
    if provider.kind is ProviderKind.COROUTINE:
        value = await provider.function(**arguments)
    elif provider.kind is ProviderKind.ASYNC_GENERATOR:
        value = await _enter_async(stack, asynccontextmanager(provider.function)(**arguments))
    else:
        value = _call(provider, arguments, stack)
    if dependency.cached:
        scope.values[dependency.provider] = value
    return value


def _add_context(provider: Provider, arguments: dict[str, Any], scope: _Scope) -> dict[str, Any]:
    if provider.context_parameter is not None:
        arguments[provider.context_parameter] = scope.context
    return arguments


def _call(provider: Provider, arguments: dict[str, Any], stack: ExitStack | AsyncExitStack) -> Any:
    if provider.kind.is_async:
        raise Misconfigured(
            f"{provider.function!r:.200} stands for another provider and is asynchronous, and the task is a plain "
            "function, which cannot wait for it"
        )
    if provider.kind is ProviderKind.GENERATOR:
        return _enter(stack, contextmanager(provider.function)(**arguments))
    return provider.function(**arguments)


def _enter(stack: ExitStack | AsyncExitStack, manager: AbstractContextManager[Any]) -> Any:
    value = manager.__enter__()
    stack.push(partial(_leave, manager))
    return value


async def _enter_async(stack: AsyncExitStack, manager: AbstractAsyncContextManager[Any]) -> Any:
    value = await manager.__aenter__()
    stack.push_async_exit(partial(_leave_async, manager))
    return value


def _leave(manager: AbstractContextManager[Any], *error: Any) -> None:
    # Without the answer of the generator: one that swallows an exception must not make a success of a failure.
    manager.__exit__(*error)


async def _leave_async(manager: AbstractAsyncContextManager[Any], *error: Any) -> None:
    await manager.__aexit__(*error)
