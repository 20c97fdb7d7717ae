"""Deadlines: halt the occurrences whose time is over. Any number of tickers may do it, in any order."""

from __future__ import annotations

import logging

from jobistemer.core.errors import NotConnected
from jobistemer.runtime.log_limit import log_limited
from jobistemer.runtime.logging import facts
from jobistemer.store.actions.cancel import end_overdue
from jobistemer.store.calls.occurrences import postpone_deadline
from jobistemer.store.database import Database

RETRY_MS = 30_000
"""How long an occurrence waits that could not be halted here."""

log = logging.getLogger("jobistemer.ticker")


def halt_overdue(database: Database, deadlines: list[tuple[str, int]]) -> int:
    """Halt the occurrences among `deadlines` (id, ms) whose time is over. Returns their number."""
    now_ms = database.clock.now_ms()
    overdue = [occurrence for occurrence, at in deadlines if at <= now_ms]
    for occurrence in overdue:
        known = facts(occurrence=occurrence)
        try:
            if end_overdue(database, occurrence):
                log.info("%s is past its deadline: its runs are cancelled", occurrence, extra=known)
        except NotConnected:
            raise
        except Exception as error:  # noqa: BLE001 - such as a record that this version cannot read
            # It holds up no other, and must not be halted again at once: its time is over, so the ticker would come
            # back to it in an endless loop.
            text = "%s is past its deadline, and cannot be halted here: %s"
            log_limited(log, logging.ERROR, f"deadline {occurrence}", text, occurrence, error, extra=known)
            postpone_deadline(database, occurrence, now_ms + RETRY_MS)
    return len(overdue)
