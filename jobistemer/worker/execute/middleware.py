"""Middleware: wrap handlers in that of the app, once, when the worker starts."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from jobistemer.core.handlers.context import Context
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.handlers.hooks import Plugins
from jobistemer.runtime.hooks import call_hooks
from jobistemer.worker.execute.dependencies import provide_dependencies

_CONTEXT_KEY = "context of this attempt"
"""The name of the context on its way to handlers without a parameter for it; no identifier, so none of theirs."""


def apply_middleware(handlers: Mapping[str, Handler], plugins: Plugins) -> Mapping[str, Handler]:
    """Return the handlers with middleware, hooks and providers around them; the very same ones where there are none.

    Providers are within the middleware, which sees their exceptions and measures their time.
    """
    handlers, hooks = provide_dependencies(handlers, plugins.overrides), plugins.hooks
    if not (plugins.chain.links or hooks.starting or hooks.occurrence_starting):
        return handlers
    return {name: _wrap(handler, plugins) for name, handler in handlers.items()}


def _wrap(handler: Handler, plugins: Plugins) -> Handler:
    result = copy.copy(handler)
    result.context_parameter = handler.context_parameter or _CONTEXT_KEY
    call = _wrap_coroutine if handler.is_coroutine else _wrap_function
    result.function = call(handler.function, handler.context_parameter, plugins)
    return result


def _wrap_function(function: Callable[..., Any], wanted: str | None, plugins: Plugins) -> Callable[..., Any]:
    def call(**arguments: Any) -> Any:
        context = _take_context(arguments, wanted)
        with ExitStack() as stack:
            first = _enter(stack, context, plugins)
            _call_starting(context, plugins, first if first and context.tools.is_first_of_occurrence() else [])
            return function(**arguments)

    return call


def _wrap_coroutine(function: Callable[..., Any], wanted: str | None, plugins: Plugins) -> Callable[..., Any]:
    async def call(**arguments: Any) -> Any:
        context = _take_context(arguments, wanted)
        with ExitStack() as stack:
            first = _enter(stack, context, plugins)
            # In a thread: the server is asked, and may be away.
            is_first = bool(first) and await asyncio.to_thread(context.tools.is_first_of_occurrence)
            _call_starting(context, plugins, first if is_first else [])
            return await function(**arguments)

    return call


def _take_context(arguments: dict[str, Any], wanted: str | None) -> Context:
    context: Context = arguments.pop(_CONTEXT_KEY) if wanted is None else arguments[wanted]
    return context


def _enter(stack: ExitStack, context: Context, plugins: Plugins) -> Sequence[Callable[..., Any]]:
    """Enter the middleware. Returns the hooks for the first start of the occurrence."""
    for link in plugins.chain.links:
        stack.enter_context(link(context))
    return plugins.hooks.occurrence_starting.get(context.job or "", [])


def _call_starting(context: Context, plugins: Plugins, first: Sequence[Callable[..., Any]]) -> None:
    call_hooks(first, context)
    call_hooks(plugins.hooks.starting, context)
