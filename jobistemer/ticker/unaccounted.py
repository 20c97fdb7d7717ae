"""Unaccounted jobs: jobs whose instant is due, is no longer within its grace period, and is not being decided.

A job that lags and catches up moves its due mark with each instant, or with each pause between them. A job whose mark
is the same at two looks in a row, and older than its grace period, is decided by no ticker: its definition cannot be
read, its schedule is unknown here, its claims are refused, or a leap of the clock is held back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from jobistemer.runtime.logging import facts

log = logging.getLogger("jobistemer.ticker")


class UnaccountedJobs:
    """The unaccounted jobs of one shard, found by comparing each full look with the one before."""

    def __init__(self) -> None:
        self._marks: dict[str, int] = {}
        self.jobs: dict[str, int] = {}
        """Job id -> the due mark (ms) that does not move."""

    def observe(self, marks: Mapping[str, int], now_ms: int, grace_ms: Callable[[str], int]) -> None:
        """Compare the due marks of one look with those of the look before, and log what has changed."""
        # Most marks of an agenda are still to come, and need no look-up of their grace period.
        overdue = {job: mark for job, mark in marks.items() if mark < now_ms and now_ms - mark > grace_ms(job)}
        stuck = {job: mark for job, mark in overdue.items() if self._marks.get(job) == mark}
        for job, mark in stuck.items():
            if self.jobs.get(job) != mark:
                log.error(
                    "job %s is due since %d ms and no ticker has decided it; `jobistemer job show` and the log of the "
                    "tickers say why",
                    job,
                    now_ms - mark,
                    extra=facts(job=job),
                )
        for job in self.jobs.keys() - stuck.keys():
            log.info("job %s is accounted for again", job, extra=facts(job=job))
        self._marks, self.jobs = overdue, stuck
