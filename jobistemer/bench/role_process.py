"""A process that is measured: `-m jobistemer.bench.role_process drain|serve|tick [SECONDS [until-eof]]`.

`drain` is a worker that empties the queue, within SECONDS. `serve` is a worker until it gets a signal, `tick` a ticker.
At its end the process writes a RoleResult as one line of JSON to standard output. JOBISTEMER_URL and
JOBISTEMER_NAMESPACE name the namespace. With `until-eof` the process also ends when its standard input closes, so that
it does not outlive the process that measures.
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
    """The work of a process: attempts done, the seconds that it took, and the CPU seconds of the process.

    seen: the phase of each stamped run, and the seconds until it began.
    """

    done: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    seen: list[tuple[str, float]] = []


def drain(shutdown: Shutdown, seconds: float) -> RoleResult:
    """Work until the queue is empty, or the seconds are over."""
    app = build_app()
    worker = Worker(app.namespace, app.handlers, WorkerSettings(concurrency=SLOTS, burst=True))
    timer = threading.Timer(seconds, shutdown.request)
    timer.daemon = True
    timer.start()
    return _run_timed(app.namespace, lambda: worker.run(shutdown), worker.counts)


def serve(shutdown: Shutdown, _seconds: float) -> RoleResult:
    """Work until a signal asks for the end."""
    app = build_app()
    worker = Worker(app.namespace, app.handlers, WorkerSettings(concurrency=SLOTS))
    return _run_timed(app.namespace, lambda: worker.run(shutdown), worker.counts)


def tick(shutdown: Shutdown, _seconds: float) -> RoleResult:
    """Run a ticker until a signal asks for the end."""
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
    """Run the role that is named, and write its result."""
    role, seconds, until_eof = (*sys.argv[1:], "", "")[:3]
    shutdown = prepare_process(ProcessOptions(log_level="warning", until_eof=bool(until_eof)))
    sys.stdout.write(msgspec.json.encode(ROLES[role](shutdown, float(seconds or 0))).decode() + "\n")


if __name__ == "__main__":
    main()
