"""Alerts: find the jobs that have not completed in time, or have recovered, and have it told. Any ticker may."""

from __future__ import annotations

import logging

from jobistemer.core.errors import NotConnected
from jobistemer.core.planning.alerts import OVERDUE, RECOVERED, build_alert_message
from jobistemer.runtime.logging import facts
from jobistemer.store.calls import jobs, outcome_counts
from jobistemer.store.calls.jobs import StoredJob
from jobistemer.store.database import Database

RETRY_MS = 30_000

log = logging.getLogger("jobistemer.ticker")


def raise_due_alerts(database: Database, expected: list[tuple[str, int]]) -> int:
    """Look at those jobs among `expected` (id, ms) whose time is over; how many there were, told by whomever."""
    now_ms = database.clock.now_ms()
    due = [(job_id, mark) for job_id, mark in expected if mark <= now_ms]
    for job_id, mark in due:
        try:
            _raise_alert(database, job_id, mark, now_ms)
        except NotConnected:
            raise
        except Exception as error:  # noqa: BLE001 - such as a definition that this version cannot read
            # One job that cannot be told of holds up no other, and is no reason to look at it again at once.
            known = facts(job=job_id)
            log.error("whether job %s has completed in time cannot be told here: %s", job_id, error, extra=known)
            database.ask("ZADD", database.keys.expected, "XX", "GT", now_ms + RETRY_MS, job_id)
    return len(due)


def _raise_alert(database: Database, job_id: str, mark: int, now_ms: int) -> None:
    stored = jobs.read_stored(database.ask(*jobs.read_command(database.keys, job_id)))
    within_s = stored.job.expect_within_s if stored else None
    if stored is None or within_s is None:
        # Removed, or it expects nothing any more.
        database.ask("ZREM", database.keys.expected, job_id)
        return
    within_ms = round(within_s * 1000)
    next_at = now_ms + within_ms
    # Nobody expects a paused job to complete; the time begins anew when it goes on.
    started_at = now_ms if _is_paused(stored, now_ms) else _resumed_at(database, stored)
    if mark and started_at + within_ms > now_ms:
        database.ask("ZADD", database.keys.expected, "XX", "GT", started_at + within_ms, job_id)
        return
    state = OVERDUE if mark else RECOVERED
    message = build_alert_message(stored.job.name, stored.job.alert, state, within_s, mark, now_ms)
    call = outcome_counts.raise_alert(database.keys, job_id, mark, 0 if mark else next_at, message, now_ms)
    if database.call(call).word == "RAISED":
        log.warning("job %s is %s: %s is told", stored.job.name, state, stored.job.alert, extra=facts(job=job_id))


def _resumed_at(database: Database, stored: StoredJob) -> int:
    resumed_at = database.ask("HGET", database.keys.job(stored.job.id), "resumed_at")
    return max(int(resumed_at or 0), stored.paused_until)


def _is_paused(stored: StoredJob, now_ms: int) -> bool:
    return bool(stored.paused) and (not stored.paused_until or stored.paused_until > now_ms)
