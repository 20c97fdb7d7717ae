"""Calls of the application's hooks: a hook that fails changes nothing of the event that it is called for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")

log = logging.getLogger("jobistemer.hooks")


def call_hooks(hooks: Iterable[Callable[[T], object]], value: T) -> None:
    """Call each hook with the value. An exception of a hook is logged, and the next hook is called."""
    for hook in hooks:
        try:
            hook(value)
        except Exception:
            log.exception("hook %s failed; everything else goes on", getattr(hook, "__qualname__", repr(hook)))
