"""Unaccounted jobs: jobs whose instant is due, is no longer within its grace period, and is not being decided.

A job that lags and catches up moves its due mark with each instant, or with each pause between them. A job whose mark
stays the same for a while by the clock of this process, and is older than its grace period, is decided by no ticker:
its definition cannot be read, its schedule is unknown here, its claims are refused, or a leap of the clock is held.

Two looks may follow at once, when the first has proved wrong, and the server's clock may leap between them. So neither
the number of looks nor the server's time says that a ticker has had its chance: only time that has passed here does.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from jobistemer.core.text import join_some
from jobistemer.runtime.logging import facts

PATIENCE_S = 1.0
"""Seconds by the clock of this process for which an overdue mark has to stay the same; a pass takes far less."""

log = logging.getLogger("jobistemer.ticker")

Names = Callable[[Sequence[str]], Mapping[str, str]]
"""Returns the names of jobs by their ids."""


class _Overdue(NamedTuple):
    """An overdue mark (ms) and the first look that has found it, in seconds of this process's monotonic clock."""

    mark: int
    since: float


class UnaccountedJobs:
    """The unaccounted jobs of one shard, found by comparing each full look with those before."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._overdue: dict[str, _Overdue] = {}
        self.jobs: dict[str, str] = {}
        """Job id -> the name of a job whose mark does not move."""

    def observe(
        self,
        marks: Mapping[str, int],
        now_ms: int,
        grace_ms: Callable[[str], int],
        untried: Collection[str] = (),
        names: Names = lambda jobs: dict(zip(jobs, jobs, strict=True)),
    ) -> None:
        """Compare the due marks of one look with those of the looks before, and log what has changed.

        untried: ids of jobs that a ticker which works off many knows of, and has not come to yet.
        """
        now, before = self._monotonic(), self._overdue
        # Most marks of an agenda are still to come, and need no look-up of their grace period.
        overdue = {job: mark for job, mark in marks.items() if mark < now_ms and now_ms - mark > grace_ms(job)}
        self._overdue = {
            job: seen if job not in untried and (seen := before.get(job)) and seen.mark == mark else _Overdue(mark, now)
            for job, mark in overdue.items()
        }
        stuck = [job for job, seen in self._overdue.items() if now - seen.since >= PATIENCE_S]
        fresh = [job for job in stuck if job not in self.jobs]
        known = {**self.jobs, **(names(fresh) if fresh else {})}
        _log_stuck({job: now_ms - overdue[job] for job in fresh}, known)
        _log_accounted({job: name for job, name in self.jobs.items() if job not in stuck})
        self.jobs = {job: known.get(job, job) for job in stuck}


def _log_stuck(late_ms: Mapping[str, int], names: Mapping[str, str]) -> None:
    """Log in one line which jobs are stuck: after an outage there may be thousands."""
    if len(late_ms) == 1:
        ((job, late),) = late_ms.items()
        log.error(
            "job %s is due since %d ms and no ticker has decided it; `jobistemer job show` and the log of the "
            "tickers say why",
            names.get(job, job),
            late,
            extra=facts(job=job),
        )
    elif late_ms:
        log.error(
            "%d jobs are due since up to %d ms and no ticker has decided them: %s; `jobistemer job show` and the log "
            "of the tickers say why",
            len(late_ms),
            max(late_ms.values()),
            join_some([names.get(job, job) for job in sorted(late_ms, key=lambda job: -late_ms[job])]),
        )


def _log_accounted(jobs: Mapping[str, str]) -> None:
    if len(jobs) == 1:
        ((job, name),) = jobs.items()
        log.info("job %s is accounted for again", name, extra=facts(job=job))
    elif jobs:
        log.info("%d jobs are accounted for again: %s", len(jobs), join_some(list(jobs.values())))
