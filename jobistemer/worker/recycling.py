"""Recycling: a worker ends in order after a number of runs, or with too much memory or too many leaked threads."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable

from jobistemer.core.settings import WorkerSettings
from jobistemer.core.text import pluralize
from jobistemer.runtime.process_info import read_memory_mib
from jobistemer.runtime.shutdown import Shutdown

CHECK_S = 0.25

log = logging.getLogger("jobistemer.worker")


class Recycler:
    """The limits of a worker: runs, memory, leaked threads and coroutines.

    failing: the worker ends because too many threads have leaked, so its exit code must not be 0.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        count_done: Callable[[], int],
        count_leaked: Callable[[], int],
        shutdown: Shutdown,
    ) -> None:
        self._settings = settings
        self._count_done = count_done
        self._count_leaked = count_leaked
        self._shutdown = shutdown
        self.failing = False

    @property
    def limits_runs(self) -> bool:
        """Return whether what is fetched depends on what this worker has done, or on its memory."""
        return self._settings.max_runs > 0 or self._settings.max_memory_mib > 0

    def count_runs_left(self) -> int:
        """Return how many more runs this worker may execute; 0 from the moment at which it has reached a limit.

        Asked before each fetch: what is fetched beyond a limit would be executed, thousands of short runs at a time.
        """
        self.step()
        if self._shutdown.requested.is_set():
            return 0
        return self._settings.max_runs - self._count_done() if self._settings.max_runs else sys.maxsize

    def step(self) -> float:
        """Request the end of the worker when it has reached a limit. Returns the seconds until the next check."""
        if not self._shutdown.requested.is_set() and (reason := self._find_reason()):
            log.info("this worker ends, so that a fresh one can replace it: %s", reason)
            self._shutdown.request_order()
        return CHECK_S

    def _find_reason(self) -> str:
        settings = self._settings
        if 0 < settings.max_runs <= (done := self._count_done()):
            return f"it has done {pluralize(done, 'run')}, allowed are {settings.max_runs}"
        if 0 < settings.max_memory_mib < (held := read_memory_mib(os.getpid())):
            return f"it holds {held:.0f} MiB, allowed are {settings.max_memory_mib}"
        if settings.max_leaked <= (leaked := self._count_leaked()):
            self.failing = True
            return f"{leaked} threads or coroutines were stopped and never ended, {settings.max_leaked} are too many"
        return ""
