"""Deadlines: occurrences whose time is over are halted. Any number of tickers may do it, in any order."""

from __future__ import annotations

import logging

from jobistemer.runtime.logging import facts
from jobistemer.store.actions.cancel import end_overdue
from jobistemer.store.database import Database

log = logging.getLogger("jobistemer.ticker")


def halt_overdue(database: Database, deadlines: list[tuple[str, int]]) -> int:
    """Halt the occurrences among `deadlines` (id, ms) whose time is over; how many there were."""
    now_ms = database.clock.now_ms()
    overdue = [occurrence for occurrence, at in deadlines if at <= now_ms]
    for occurrence in overdue:
        if end_overdue(database, occurrence):
            log.info("%s is past its deadline: its runs are cancelled", occurrence, extra=facts(occurrence=occurrence))
    return len(overdue)
