"""A process beside the one that measures: `-m jobistemer.bench.role_process drain|serve|tick [SECONDS [until-eof]]`.

`drain` empties the queue, for so many seconds at the most. `serve` works until it is told to end, `tick` is a ticker.
What each says at its end is one line of JSON on standard output. JOBISTEMER_URL and JOBISTEMER_NAMESPACE say where.
With `until-eof` it also ends when its standard input closes, so that nobody is left behind.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from jobistemer.bench.tasks import STAMPS, build_app
from jobistemer.core.settings import TickerSettings, WorkerSettings
from jobistemer.runtime.process import ProcessOptions, prepare_process
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.store.namespace import Namespace
from jobistemer.ticker import Ticker
from jobistemer.worker import Worker

SLOTS: Final = 8


class RoleResult(msgspec.Struct, frozen=True):
    """What a process has done: attempts, seconds from its first beat to its end, CPU seconds of its own meanwhile.

    seen: the phase of each stamped run, and the seconds until it began.
    """

    done: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    seen: list[tuple[str, float]] = []


def drain(shutdown: Shutdown, seconds: float) -> RoleResult:
    """Work until the queue is empty, or for so many seconds."""
    app = build_app()
    worker = Worker(app.namespace, app.handlers, WorkerSettings(concurrency=SLOTS, burst=True))
    timer = threading.Timer(seconds, shutdown.request)
    timer.daemon = True
    timer.start()
    return _run_timed(app.namespace, lambda: worker.run(shutdown), worker.counts)


def serve(shutdown: Shutdown, _seconds: float) -> RoleResult:
    """Work until told to end."""
    app = build_app()
    worker = Worker(app.namespace, app.handlers, WorkerSettings(concurrency=SLOTS))
    return _run_timed(app.namespace, lambda: worker.run(shutdown), worker.counts)


def tick(shutdown: Shutdown, _seconds: float) -> RoleResult:
    """Be a ticker until told to end."""
    namespace = build_app().namespace
    return _run_timed(namespace, lambda: Ticker(namespace, TickerSettings()).run(shutdown), dict)


def _run_timed(namespace: Namespace, work: Callable[[], None], counts: Callable[[], dict[str, Any]]) -> RoleResult:
    namespace.connect()
    began, cpu = time.perf_counter(), time.process_time()
    work()
    seconds, spent = time.perf_counter() - began, time.process_time() - cpu
    return RoleResult(done=counts().get("done", 0), seconds=seconds, cpu=spent, seen=STAMPS)


ROLES: Final = {"drain": drain, "serve": serve, "tick": tick}


def main() -> None:
    """Play the role that is named, and say what it did."""
    role, seconds, until_eof = (*sys.argv[1:], "", "")[:3]
    shutdown = prepare_process(ProcessOptions(log_level="warning", until_eof=bool(until_eof)))
    sys.stdout.write(msgspec.json.encode(ROLES[role](shutdown, float(seconds or 0))).decode() + "\n")


if __name__ == "__main__":
    main()
