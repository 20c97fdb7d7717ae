"""Claims ahead: an instant is claimed a little before it is due, so that its run can begin on the dot.

A claim costs the server more than the rest of a run does, and many jobs are due at the full minute. Made before the
instant, it is no part of what a run waits for: the entry lies on its stream, and the worker that fetches it keeps it
until the instant by server time. Nothing else differs, and what is not claimed by the instant is claimed then.
"""

from __future__ import annotations

import logging
import time

from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.runtime.log_limit import log_limited
from jobistemer.store.database import Database
from jobistemer.store.reads.queues import list_workers

MIN_LEAD_MS = 3
"""How much earlier the claims of an instant begin at the least, and at the most."""
MAX_LEAD_MS = 250
MS_PER_JOB = 0.05
"""How much earlier they begin for each job that is due at the instant, whichever ticker claims it."""
CHECK_EVERY_S = 5.0
"""How long the answer counts whether all workers wait."""

log = logging.getLogger("jobistemer.ticker")


def lead_ms(jobs: int, tickers: int) -> int:
    """Return how many ms before an instant a ticker begins to claim `jobs` jobs; so many tickers do the same."""
    return min(MAX_LEAD_MS, MIN_LEAD_MS + int(jobs * tickers * MS_PER_JOB))


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
