"""Tell hooks what has happened: whatever they do, what has happened stays as it is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")

log = logging.getLogger("jobistemer.hooks")


def call_hooks(hooks: Iterable[Callable[[T], object]], value: T) -> None:
    """Call each hook with the value; one that raises is logged, and the next one is called."""
    for hook in hooks:
        try:
            hook(value)
        except Exception:
            log.exception("hook %s failed; nothing else is changed by that", getattr(hook, "__qualname__", repr(hook)))
