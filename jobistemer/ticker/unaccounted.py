"""Unaccounted jobs: jobs whose instant is due, is no longer within its grace period, and is not being decided.

A job that lags and catches up moves its due mark with each instant, or with each pause between them. A job whose mark
is the same at two looks in a row, and older than its grace period, is decided by no ticker: its definition cannot be
read, its schedule is unknown here, its claims are refused, or a leap of the clock is held back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from jobistemer.core.text import join_some
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
        _log_stuck({job: now_ms - mark for job, mark in stuck.items() if self.jobs.get(job) != mark})
        _log_accounted(sorted(self.jobs.keys() - stuck.keys()))
        self._marks, self.jobs = overdue, stuck


def _log_stuck(late_ms: Mapping[str, int]) -> None:
    """Log in one line which jobs are stuck: after an outage there may be thousands."""
    if len(late_ms) == 1:
        ((job, late),) = late_ms.items()
        log.error(
            "job %s is due since %d ms and no ticker has decided it; `jobistemer job show` and the log of the "
            "tickers say why",
            job,
            late,
            extra=facts(job=job),
        )
    elif late_ms:
        log.error(
            "%d jobs are due since up to %d ms and no ticker has decided them: %s; `jobistemer job show` and the log "
            "of the tickers say why",
            len(late_ms),
            max(late_ms.values()),
            join_some(sorted(late_ms, key=lambda job: -late_ms[job])),
        )


def _log_accounted(jobs: Sequence[str]) -> None:
    if len(jobs) == 1:
        log.info("job %s is accounted for again", jobs[0], extra=facts(job=jobs[0]))
    elif jobs:
        log.info("%d jobs are accounted for again: %s", len(jobs), join_some(jobs))
