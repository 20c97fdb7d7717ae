"""The wait of an attempt for a server that is away, in the thread that executes it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import TypeVar

from jobistemer.core.errors import NotConnected

PAUSE_S = 0.2
"""The pause before the server is asked again."""
MAX_WAIT_S = 60.0
"""How long an attempt waits where it has done nothing yet that would have to be done once more, in seconds."""

R = TypeVar("R")


def wait_for_server(step: Callable[[], R], most_s: float = math.inf) -> R:
    """Call a step that may be called twice until the server is there for it. Returns what the step returns.

    most_s: the seconds after which it is called no more. Raises NotConnected then, or what the step raises besides.
    """
    deadline = time.monotonic() + most_s
    while True:
        try:
            return step()
        except NotConnected:
            if time.monotonic() >= deadline:
                raise
            time.sleep(PAUSE_S)


def wait_in_thread(step: Callable[[], R]) -> R:
    """Call a step like `wait_for_server`, for MAX_WAIT_S; on an event loop, which must not stand still, only once.

    Raises NotConnected, or what the step raises besides.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return wait_for_server(step, MAX_WAIT_S)
    return step()


async def wait_for_server_async(step: Callable[[], R]) -> R:
    """Call a step like `wait_for_server`, in threads of their own: the event loop goes on."""
    while True:
        try:
            return await asyncio.to_thread(step)
        except NotConnected:
            await asyncio.sleep(PAUSE_S)
