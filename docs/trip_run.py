"""The trip of one plain run through a worker: every function of ours that it enters, from its fetch to its record.

    from trip_run import count_run
    for file, function in count_run(): ...

One shard of a fake server, a worker with one thread slot, a task without limits, hooks or arguments, a success. The
worker has run such a task before, so that scripts are loaded and names are known; then it waits on an empty queue.
"""

# ruff: noqa: SLF001, T201 - it moves the parts of a worker by hand, and is a program that prints
from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import uuid4

import jobistemer
from jobistemer.app import Jobistemer
from jobistemer.core.settings import WorkerSettings
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.store.calls import streams
from jobistemer.store.server.connection import forget_fake_server
from jobistemer.worker import Worker

CARRYING = (
    "Fetcher.step", "Fetcher._read_waiting", "StreamReader.fetch", "Fetcher._accept", "Dispatcher._step", "ThreadSlots.put",
    "run", "build_arguments", "outcome_of_result", "Committer.step", "FinishedQueue.take", "Committer._commit",
    "commit_successes", "Database.call_all",
)  # fmt: skip
"""The functions through which the run goes from one step to the next; the others are asked about it, and return."""
PACKAGE = str(Path(jobistemer.__file__).parent) + "/"


class Entered:
    """Records the functions of the package that are entered; comprehensions belong to the function around them."""

    def __init__(self) -> None:
        self.functions: dict[tuple[str, str], None] = {}
        self._recording = False

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record what this thread enters meanwhile, and the slot that was started under `hook`."""
        sys.setprofile(self.hook)
        self._recording = True
        try:
            yield
        finally:
            self._recording = False
            sys.setprofile(None)

    def hook(self, frame: FrameType, event: str, _: Any) -> None:
        """Be told of a call, as `sys.setprofile` does."""
        code = frame.f_code
        ours = self._recording and code.co_filename.startswith(PACKAGE)
        if event == "call" and ours and not code.co_name.endswith(("comp>", "genexpr>")):
            self.functions[code.co_filename.removeprefix(PACKAGE), code.co_qualname] = None


def count_run() -> list[tuple[str, str]]:
    """Return (file, function) in the order in which one run enters them; each once."""
    url = f"fake://{uuid4()}"
    try:
        return _count(Jobistemer(url, shards=1))
    finally:
        forget_fake_server(url)


def _count(app: Jobistemer) -> list[tuple[str, str]]:
    @app.task
    def plain() -> None: ...

    (database,) = app.namespace.shards
    entered = Entered()
    worker = Worker(app.namespace, app.handlers, WorkerSettings(concurrency=1))
    # The parts of a real worker, and the thread of its slot. The steps of its other threads are taken here, one after
    # the other, so that the list is the same each time.
    threading.setprofile(entered.hook)
    connected = worker._connect(Shutdown())
    threading.setprofile(None)
    (fetcher,) = connected.dispatcher._fetchers
    (finished,) = connected.committers._queues.values()
    commit, _ = connected.committers.steps()
    streams.open_streams(database, worker._queue_order.all_places())

    def take_steps() -> None:
        app.enqueue("plain")
        with entered.recording():
            connected.dispatcher._step(fetcher, burst=False)
            while finished._ended.empty():
                time.sleep(0.001)
            commit()

    # Twice: the first run is read from a queue of which nothing is known yet, the second one by a read that waits.
    for _ in range(2):
        take_steps()
        for attempts in fetcher.step(block=False):
            raise AssertionError(f"{len(attempts)} runs were left")
    entered.functions.clear()
    take_steps()
    connected.slots.end()
    return list(entered.functions)


if __name__ == "__main__":
    found = count_run()
    for file, function in found:
        print(f"{file:40} {function}")
    print(f"{len(found)} functions, {len(CARRYING)} of them carry the run, in {len({file for file, _ in found})} files")
