"""Handler processes: kept warm, killable, and replaced when they are worn out or dead.

They are started fresh and never forked off the worker, whose threads may hold locks at the moment of a fork.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from jobistemer.core.settings import WorkerSettings
from jobistemer.runtime.repeat import run_apart
from jobistemer.worker.process.failures import ProcessNotStarted

# Most workers never start a process: they do without its protocol, which is 0.2 MB.
if TYPE_CHECKING:
    from jobistemer.worker.process.handler_process import HandlerProcess


class ProcessPool:
    """The idle processes of one worker, at most as many as it has slots.

    shards: of the namespace, for the processes.
    """

    def __init__(self, settings: WorkerSettings, shards: int) -> None:
        self._settings = settings
        self.shards = shards
        self._folder = str(Path.cwd())
        self._idle: list[HandlerProcess] = []
        self._lock = threading.Lock()

    def acquire(self) -> HandlerProcess:
        """Take the idle process that was used last, or start a new one. Raises ProcessNotStarted."""
        while (child := self._take_idle()) is not None:
            if not child.has_ended:
                return child
            # Killed from outside since its last run, such as by the system for its memory: no run is to suffer for it.
            child.kill()
            child.end()
        try:
            from jobistemer.worker.process.handler_process import HandlerProcess  # noqa: PLC0415 - see above
        except OSError as error:
            # No file descriptor is left, so that there is none for a process either.
            raise ProcessNotStarted(f"its process could not be started: {error}") from error
        return HandlerProcess(self._settings.app, self._folder, self._settings.child_max_memory_mib)

    def _take_idle(self) -> HandlerProcess | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def release(self, child: HandlerProcess) -> None:
        """Keep a process for the next run, unless it has reached the limit of runs or of memory."""
        is_worn_out = 0 < self._settings.child_max_runs <= child.runs
        is_too_large = 0 < self._settings.child_max_memory_mib < child.memory_mib
        if is_worn_out or is_too_large:
            # On a thread: the slot must not wait for the end of the process.
            run_apart(child.end, "process end")
            return
        with self._lock:
            self._idle.append(child)

    def warm_up(self) -> None:
        """Start one process before it is needed. Raises ProcessNotStarted."""
        self.release(self.acquire())

    def end(self) -> None:
        """End the idle processes. Processes that run a handler end with the worker, whose end closes their channels."""
        with self._lock:
            idle, self._idle = self._idle, []
        # All channels first, so that the processes end side by side.
        for child in idle:
            child.close()
        for child in idle:
            child.end()
