"""Leave for good: what application code has left behind may not keep a process that has done its work."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
from contextlib import suppress
from typing import NoReturn

from jobistemer.runtime.repeat import start_thread

EXIT_TIMEOUT_S = 5.0
"""What handlers have registered to be called at the end, and threads they left, may take so long."""

log = logging.getLogger("jobistemer")


def exit_process(code: int, seconds: float = EXIT_TIMEOUT_S) -> NoReturn:
    """End the process as the interpreter would, but within a time: threads that are no daemons, functions for the exit.

    The interpreter's own end waits for those without a limit, and may wait for ever for a lock that one of its frozen
    daemon threads holds.
    """
    start_thread(lambda: _exit_after(code, seconds), "leaving")
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.current_thread():
            thread.join()
    atexit._run_exitfuncs()  # noqa: SLF001 - there is no public way to have them run before the end
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def _exit_after(code: int, seconds: float) -> None:
    time.sleep(seconds)
    log.warning("something of the application keeps this process from ending; it is ended now")
    os._exit(code)
