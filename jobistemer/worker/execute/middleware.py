"""Middleware: wrap handlers in that of the app, once, when the worker starts."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
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
        with _run_around(_take_context(arguments, wanted), plugins):
            return function(**arguments)

    return call


def _wrap_coroutine(function: Callable[..., Any], wanted: str | None, plugins: Plugins) -> Callable[..., Any]:
    async def call(**arguments: Any) -> Any:
        with _run_around(_take_context(arguments, wanted), plugins):
            return await function(**arguments)

    return call


def _take_context(arguments: dict[str, Any], wanted: str | None) -> Context:
    context: Context = arguments.pop(_CONTEXT_KEY) if wanted is None else arguments[wanted]
    return context


@contextmanager
def _run_around(context: Context, plugins: Plugins) -> Iterator[None]:
    with ExitStack() as stack:
        for link in plugins.chain.links:
            stack.enter_context(link(context))
        first = plugins.hooks.occurrence_starting.get(context.job or "")
        if first and context.tools.is_first_of_occurrence():
            call_hooks(first, context)
        call_hooks(plugins.hooks.starting, context)
        yield
