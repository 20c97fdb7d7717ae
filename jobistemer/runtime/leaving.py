"""Leave for good: what application code has left behind may not keep a process that has done its work."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from jobistemer.runtime.repeating import start_thread

log = logging.getLogger("jobistemer")


@contextmanager
def leaving_within(seconds: float) -> Iterator[None]:
    """After the block the process has so long to end, whatever was registered for its exit or never ends."""
    code = 1
    try:
        yield
        code = 0
    finally:
        start_thread(lambda: _leave(seconds, code), "leaving")


def _leave(seconds: float, code: int) -> None:
    time.sleep(seconds)
    log.warning("something of the application keeps this process from ending; it is ended now")
    os._exit(code)
