"""Calls of the application's hooks: a hook that fails changes nothing of the event that it is called for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from jobistemer.core.handlers.worker_hooks import WorkerHooks, call_worker_hook

T = TypeVar("T")

log = logging.getLogger("jobistemer.hooks")


def call_hooks(hooks: Iterable[Callable[[T], object]], value: T) -> None:
    """Call each hook with the value. An exception of a hook is logged, and the next hook is called."""
    for hook in hooks:
        try:
            hook(value)
        except Exception:
            log.exception("hook %s failed; everything else goes on", name_hook(hook))


def call_stop_hooks(hooks: WorkerHooks, wait_for: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
    """Call the functions at the end of a worker process, the last added first. Their exceptions are logged.

    wait_for: executes a coroutine on the event loop of the handlers, and waits for it.
    """
    for hook in reversed(hooks.stopping):
        try:
            call_worker_hook(hook, wait_for)
        except BaseException:
            log.exception("on_worker_stop: %s failed; everything else goes on", name_hook(hook))


def name_hook(hook: Callable[..., object]) -> str:
    """Return the name of a hook for the log."""
    return getattr(hook, "__qualname__", None) or repr(hook)
