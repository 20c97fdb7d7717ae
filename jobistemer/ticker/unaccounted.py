"""Unaccounted: instants that are due, are no longer within their grace, and about which nothing happens.

A job that lags and catches up moves its due mark with each instant, or with each pause between them. One whose mark is
the same at two looks in a row, and older than its grace, is accounted for by nobody: its definition cannot be read,
its schedule is unknown here, its claims are refused, or the clock is being held.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from jobistemer.runtime.logging import facts

log = logging.getLogger("jobistemer.ticker")


class UnaccountedJobs:
    """Compares each full look with the one before."""

    def __init__(self) -> None:
        self._marks: dict[str, int] = {}
        self.jobs: dict[str, int] = {}
        """Job id -> the due mark (ms) it is stuck at."""

    def observe(self, marks: Mapping[str, int], now_ms: int, grace_ms: Callable[[str], int]) -> None:
        """Take note of the due marks that one look has found."""
        overdue = {job: mark for job, mark in marks.items() if now_ms - mark > grace_ms(job)}
        stuck = {job: mark for job, mark in overdue.items() if self._marks.get(job) == mark}
        for job, mark in stuck.items():
            if self.jobs.get(job) != mark:
                log.error(
                    "job %s is due since %d ms and nothing has become of it; `jobistemer job show` and the log of the "
                    "tickers say why",
                    job,
                    now_ms - mark,
                    extra=facts(job=job),
                )
        for job in self.jobs.keys() - stuck.keys():
            log.info("job %s is accounted for again", job, extra=facts(job=job))
        self._marks, self.jobs = overdue, stuck
