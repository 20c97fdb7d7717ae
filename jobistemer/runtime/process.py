"""Preparation of a process: its logging, its signals, and its end together with its supervisor."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Final, NamedTuple

from jobistemer.runtime.http_pages import LOOPBACK
from jobistemer.runtime.logging import FORMATS, LEVELS, RunTracebacks, set_up_logging
from jobistemer.runtime.repeat import start_thread
from jobistemer.runtime.shutdown import Shutdown

METRICS_OFF: Final = "off"
DEFAULT_FIRST_COLLECTIONS = (700, 2_000)
"""What Python sets itself, before version 3.14 and since."""
FIRST_COLLECTION = 5_000
"""How many objects may be made, and not freed, before the garbage collector looks at them."""


class ProcessOptions(NamedTuple):
    """The options that all processes have."""

    log_level: str = LEVELS[1]
    log_format: str = "text"
    log_tracebacks: bool = True
    until_eof: bool = False
    health_port: int | None = None
    health_host: str = LOOPBACK
    health_socket: Path | None = None
    metrics: str = METRICS_OFF


def prepare_process(options: ProcessOptions) -> Shutdown:
    """Set up logging, signals and the garbage collector, once the app is loaded.

    Returns the shutdown that signals, and the supervisor's end, request.
    """
    RunTracebacks.logged = options.log_tracebacks
    set_up_logging(options.log_level, FORMATS[options.log_format]())
    shutdown = Shutdown()
    shutdown.listen()
    tune_collection()
    if options.until_eof:
        start_thread(lambda: _stop_at_eof(shutdown), "supervisor pipe")
    return shutdown


def tune_collection() -> None:
    """Have the garbage collector leave alone what exists by now, and look less often at what comes.

    A worker has thousands of objects in flight that all end by themselves, and a look at all modules and declarations
    stops it for 60 ms. Thresholds that the app has set, and a collector that it has turned off, stay as they are.
    """
    gc.freeze()
    first, *others = gc.get_threshold()
    if first in DEFAULT_FIRST_COLLECTIONS:
        gc.set_threshold(FIRST_COLLECTION, *others)


def _stop_at_eof(shutdown: Shutdown) -> None:
    # The supervisor holds the other end and never writes: the pipe closes when the supervisor ends, however it ends.
    # The file descriptor is read, since a daemon thread inside sys.stdin would break the interpreter's shutdown.
    while os.read(0, 1):
        pass
    shutdown.request()
