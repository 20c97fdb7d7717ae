"""Chores: what a ticker does for one job at a time, such as an update whose time has come or a step of a backfill.

A chore is a member of one sorted set, scored with the ms it is due. Any number of tickers may do the same chore at the
same time; each is done in steps that count once.
"""

from __future__ import annotations

import logging

from jobistemer.core.errors import NotConnected
from jobistemer.runtime.logging import facts
from jobistemer.store.actions.backfill import take_step
from jobistemer.store.actions.cancel import cancel_earlier_occurrences, cancel_older_versions
from jobistemer.store.actions.update_job import apply_pending
from jobistemer.store.database import Database

READ_LIMIT = 20
RETRY_MS = 5_000

log = logging.getLogger("jobistemer.ticker")


class Chores:
    """The chores of one shard, as they were at the last look."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._due: list[tuple[int, str]] = []

    def refresh(self) -> None:
        """Read which chores come next."""
        flat = self._database.ask("ZRANGE", self._database.keys.chores, 0, READ_LIMIT - 1, "WITHSCORES")
        self._due = [(int(float(at)), name.decode()) for name, at in zip(flat[::2], flat[1::2], strict=True)]

    def next_ms(self) -> int | None:
        """When the next one is due, if any."""
        return self._due[0][0] if self._due else None

    def run_due(self) -> bool:
        """Do those that are due, one step each, and look again; whether a job has changed, so that it is read anew."""
        now_ms = self._database.clock.now_ms()
        due = [name for at, name in self._due if at <= now_ms]
        changed = [self._run(name) for name in due]
        if due:
            self.refresh()
        return any(changed)

    def _run(self, name: str) -> bool:
        # Should a step fail or this process die, the chore comes back; one that cannot be done holds up no other.
        self._postpone(name)
        kind, _, rest = name.partition(":")
        try:
            return self._run_step(name, kind, rest)
        except NotConnected:
            raise
        except Exception:
            log.exception("chore %s failed and is tried again", name)
            return False

    def _run_step(self, name: str, kind: str, rest: str) -> bool:
        if kind == "update":
            changed = apply_pending(self._database, rest)
            if changed is not None and changed.word == "CHANGED":
                log.info("job %s: version %d is applied", rest, changed.version, extra=facts(job=rest))
                return True
        elif kind == "retire":
            version, _, job_id = rest.partition(":")
            if not cancel_older_versions(self._database, job_id, int(version)):
                self._database.ask("ZREM", self._database.keys.chores, name)
        elif kind == "replace":
            instant, _, job_id = rest.partition(":")
            if not cancel_earlier_occurrences(self._database, job_id, int(instant)):
                self._database.ask("ZREM", self._database.keys.chores, name)
        elif kind == "backfill":
            take_step(self._database, rest)
        return False

    def _postpone(self, name: str) -> None:
        again_ms = self._database.clock.now_ms() + RETRY_MS
        self._database.ask("ZADD", self._database.keys.chores, "XX", "GT", again_ms, name)
