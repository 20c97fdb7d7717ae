"""The start and stop functions of an app, called around a part of a test."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any

from jobistemer.core.handlers.worker_hooks import WorkerHook, WorkerHooks, call_worker_hook


class TestResources:
    """What a worker has between its start and its end: a context for `with`, and for `async with`.

    Exceptions of the functions are raised here, so that a test sees them.
    """

    __test__ = False

    def __init__(self, hooks: WorkerHooks, wait_for: Callable[[Coroutine[Any, Any, Any]], None]) -> None:
        self._hooks = hooks
        self._wait_for = wait_for

    def __enter__(self) -> None:
        self._call_all(self._hooks.starting)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call_all(self._hooks.stopping[::-1])

    async def __aenter__(self) -> None:
        await _call_all_async(self._hooks.starting)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await _call_all_async(self._hooks.stopping[::-1])

    def _call_all(self, hooks: list[WorkerHook]) -> None:
        for hook in hooks:
            call_worker_hook(hook, self._wait_for)


async def _call_all_async(hooks: list[WorkerHook]) -> None:
    for hook in hooks:
        found = hook()
        if inspect.iscoroutine(found):
            await asyncio.ensure_future(found)
