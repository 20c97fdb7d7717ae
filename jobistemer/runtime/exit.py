"""The exit of a process that threads and exit handlers of the application cannot hold up."""

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
"""Seconds that the application's exit handlers and the threads that it has left may take."""

log = logging.getLogger("jobistemer")


def exit_process(code: int, seconds: float = EXIT_TIMEOUT_S) -> NoReturn:
    """End the process as the interpreter does, but within so many seconds.

    It joins threads that are no daemons and runs the exit handlers. The interpreter waits for both without a limit, and
    may then wait for ever for a lock that one of its frozen daemon threads holds.
    """
    start_thread(lambda: _exit_after(code, seconds), "exit timer")
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.current_thread():
            thread.join()
    atexit._run_exitfuncs()  # noqa: SLF001 - no public function runs them before the end
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def _exit_after(code: int, seconds: float) -> None:
    time.sleep(seconds)
    log.warning("threads or exit handlers of the application have not ended after %g s: the process ends now", seconds)
    os._exit(code)
