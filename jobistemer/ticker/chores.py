"""The chores of one shard, done by its tickers: any number of them may do the same chore at the same time.

Each chore is done in steps that count once. The names of chores are in `store.calls.chores`.
"""

from __future__ import annotations

import logging

from jobistemer.control.put_aside import put_aside_and_log
from jobistemer.core.errors import NotConnected
from jobistemer.core.unreadable import Unreadable
from jobistemer.runtime.log_limit import log_limited
from jobistemer.runtime.logging import facts
from jobistemer.store.actions.backfill import take_step
from jobistemer.store.actions.cancel import cancel_earlier_occurrences, cancel_older_versions
from jobistemer.store.actions.update_job import apply_pending
from jobistemer.store.calls.chores import Chore, ChoreKind, drop_chore, list_chores, postpone_chore, read_chore
from jobistemer.store.database import Database

READ_LIMIT = 20
"""How many chores one look reads."""
RETRY_MS = 5_000
"""How long a chore waits that has not been finished."""

log = logging.getLogger("jobistemer.ticker")


class Chores:
    """The chores of one shard, as they were at the last look."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._due: list[tuple[int, str]] = []

    def refresh(self) -> None:
        """Read the chores that are due next."""
        bad: list[Unreadable] = []
        self._due = list_chores(self._database, READ_LIMIT, bad)
        put_aside_and_log(self._database, bad)

    def next_ms(self) -> int | None:
        """Return the ms at which the next chore is due, or None."""
        return self._due[0][0] if self._due else None

    def run_due(self) -> bool:
        """Take one step of each chore that is due, and look again. Returns whether a job has changed."""
        now_ms = self._database.clock.now_ms()
        due = [name for at, name in self._due if at <= now_ms]
        changed = [self._run(name) for name in due]
        if due:
            self.refresh()
        return any(changed)

    def _run(self, name: str) -> bool:
        # Put off before the step: should the step fail or this process die, the chore comes back; and a chore that
        # always fails holds up no other.
        postpone_chore(self._database, name, self._database.clock.now_ms() + RETRY_MS)
        try:
            chore = read_chore(name)
            return chore is not None and self._run_step(name, chore)
        except NotConnected:
            raise
        except Exception:  # noqa: BLE001 - logged with its traceback, once a minute
            log_limited(log, logging.ERROR, f"chore {name}", "chore %s failed and is tried again", name, exc_info=True)
            return False

    def _run_step(self, name: str, chore: Chore) -> bool:
        database, subject = self._database, chore.subject
        if chore.kind is ChoreKind.UPDATE:
            return self._apply_update(subject)
        if chore.kind is ChoreKind.BACKFILL:
            take_step(database, subject)
            return False
        cancel = cancel_older_versions if chore.kind is ChoreKind.RETIRE else cancel_earlier_occurrences
        # Runs that have been asked to stop are still live; the chore is done when a look finds none of them.
        if not cancel(database, subject, chore.number):
            drop_chore(database, name)
        return False

    def _apply_update(self, job_id: str) -> bool:
        changed = apply_pending(self._database, job_id)
        if changed is None or changed.word != "CHANGED":
            return False
        log.info("job %s: version %d is applied", job_id, changed.version, extra=facts(job=job_id))
        return True
