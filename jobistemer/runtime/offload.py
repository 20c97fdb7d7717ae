"""Calls that block, awaited: they run in a few threads of their own, and leave the event loop free.

What is called seldom, such as the control of jobs, exists once, as a plain method. Its twin for asyncio is made of it:

    class JobControl:
        def pause(self, name: str) -> None: ...

        pause_async = twin(pause)
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import islice
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")

THREADS: Final = 8
"""How many such calls of a process go on at a time; the others wait for their turn."""
PAGE: Final = 100
"""How many values an iterator gives at a time to its twin."""


@functools.cache
def _threads() -> ThreadPoolExecutor:
    # Not those of the loop: an application may fill them with work that is longer.
    return ThreadPoolExecutor(THREADS, thread_name_prefix="jobistemer call")


# The threads of a process do not survive a fork, and a child that waited for them would wait for ever.
os.register_at_fork(after_in_child=_threads.cache_clear)


async def offload(call: Callable[[], R]) -> R:
    """Execute a call in a thread, with the context of the caller, and return what it returns."""
    context = copy_context()
    return await asyncio.get_running_loop().run_in_executor(_threads(), context.run, call)


def twin(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """Return a method that does the same, awaited."""

    async def awaited(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        # By name, so that the twin of a method that a subclass has replaced is that of its own.
        return await offload(functools.partial(getattr(self, method.__name__), *args, **kwargs))

    _describe(awaited, method)
    return awaited


def twin_iterator(method: Callable[Concatenate[S, P], Iterator[R]]) -> Callable[Concatenate[S, P], AsyncIterator[R]]:
    """Return a method that iterates over the same values, awaited; they are read in pages."""

    async def awaited(self: S, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[R]:
        values = iter(getattr(self, method.__name__)(*args, **kwargs))
        while page := await offload(lambda: list(islice(values, PAGE))):
            for value in page:
                yield value

    _describe(awaited, method)
    return awaited


def _describe(awaited: Callable[..., Any], method: Callable[..., Any]) -> None:
    functools.update_wrapper(awaited, method)
    awaited.__name__ = f"{method.__name__}_async"
    awaited.__qualname__ = f"{method.__qualname__}_async"
    awaited.__doc__ = f"Do what `{method.__name__}` does, awaited."
