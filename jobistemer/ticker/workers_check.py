"""Whether instants may be claimed before they are due: all workers have to keep what they fetch until then."""

from __future__ import annotations

import logging
import time

from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.runtime.log_limit import log_limited
from jobistemer.store.database import Database
from jobistemer.store.reads.queues import list_workers

CHECK_EVERY_S = 5.0
"""How long the answer counts whether all workers wait."""

log = logging.getLogger("jobistemer.ticker")


class WorkersCheck:
    """Whether all workers of a shard keep what they fetch until it is due; those of earlier releases begin at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._next_check = 0.0
        self._all_wait = False

    def all_wait(self) -> bool:
        """Return what was found within the last five seconds. Where workers may not be read, the answer is no."""
        if time.monotonic() >= self._next_check:
            self._next_check = time.monotonic() + CHECK_EVERY_S
            try:
                self._all_wait = all(worker.waits_until_due for worker in list_workers([self._database]))
            except NotConnected:
                self._all_wait = False
                raise
            except ServerRefused as error:
                self._all_wait = False
                text = "workers could not be read, so nothing is claimed before it is due: %s"
                log_limited(log, logging.WARNING, "workers", text, error)
        return self._all_wait
