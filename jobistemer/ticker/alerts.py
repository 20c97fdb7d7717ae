"""Alerts: find the jobs that have not completed in time, or have recovered, and enqueue their alerts.

Any number of tickers may do it: one script decides which of them enqueues an alert.
"""

from __future__ import annotations

import logging

from jobistemer.core.errors import NotConnected
from jobistemer.core.planning.alerts import OVERDUE, RECOVERED, build_alert_message
from jobistemer.runtime.log_limit import log_limited
from jobistemer.runtime.logging import facts
from jobistemer.store.calls import jobs, outcome_counts
from jobistemer.store.calls.jobs import StoredJob
from jobistemer.store.database import Database

RETRY_MS = 30_000
"""How long a job waits whose alert could not be raised here."""

log = logging.getLogger("jobistemer.ticker")


def raise_due_alerts(database: Database, expected: list[tuple[str, int]]) -> int:
    """Check those jobs among `expected` (id, ms) whose time is over. Returns their number."""
    now_ms = database.clock.now_ms()
    due = [(job_id, mark) for job_id, mark in expected if mark <= now_ms]
    for job_id, mark in due:
        try:
            _raise_alert(database, job_id, mark, now_ms)
        except NotConnected:
            raise
        except Exception as error:  # noqa: BLE001 - such as a definition that this version cannot read
            # One job that cannot be checked holds up no other, and must not be checked again at once: its time is over,
            # so without a new one the ticker would come back to it in an endless loop.
            known = facts(job=job_id)
            text = "job %s cannot be checked for completion in time: %s"
            log_limited(log, logging.ERROR, f"alert {job_id}", text, job_id, error, extra=known)
            outcome_counts.postpone_expected(database, job_id, now_ms + RETRY_MS)
    return len(due)


def _raise_alert(database: Database, job_id: str, mark: int, now_ms: int) -> None:
    stored = jobs.read_stored(database.ask(*jobs.read_command(database.keys, job_id)))
    within_s = stored.job.expect_within_s if stored else None
    if stored is None or within_s is None:
        # The job was removed, or a new version expects nothing.
        outcome_counts.drop_expected(database, job_id)
        return
    within_ms = round(within_s * 1000)
    next_at = now_ms + within_ms
    # A paused job is not expected to complete; the time begins anew when the job is resumed.
    started_at = now_ms if _is_paused(stored, now_ms) else _find_resumed_ms(database, stored)
    if mark and started_at + within_ms > now_ms:
        outcome_counts.postpone_expected(database, job_id, started_at + within_ms)
        return
    state = OVERDUE if mark else RECOVERED
    message = build_alert_message(stored.job.name, stored.job.alert, state, within_s, mark, now_ms)
    call = outcome_counts.raise_alert(database.keys, job_id, mark, 0 if mark else next_at, message, now_ms)
    if database.call(call).word == "RAISED":
        log.warning("job %s is %s: %s is notified", stored.job.name, state, stored.job.alert, extra=facts(job=job_id))


def _find_resumed_ms(database: Database, stored: StoredJob) -> int:
    return max(jobs.read_resumed_ms(database, stored.job.id), stored.paused_until)


def _is_paused(stored: StoredJob, now_ms: int) -> bool:
    return bool(stored.paused) and (not stored.paused_until or stored.paused_until > now_ms)
