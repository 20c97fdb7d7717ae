"""What a worker does for one attempt's context: the tools behind `Context`."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from functools import partial
from typing import Any

from jobistemer.core import ids
from jobistemer.core.handlers.attempt_log import Progress
from jobistemer.core.handlers.context import Logger
from jobistemer.core.handlers.hooks import Prepare
from jobistemer.core.permissions import Permissions
from jobistemer.core.runs.transaction import Transaction
from jobistemer.store.calls import occurrences
from jobistemer.store.reads.records import last_run_before
from jobistemer.worker.attempts.attempt import Flight
from jobistemer.worker.attempts.log_buffer import Notebook
from jobistemer.worker.attempts.run_logger import RunLogger
from jobistemer.worker.execute.log_shipper import Journal


def refuse(_keys: Any, request: Any) -> Any:
    """Stands for `prepare` in a worker that was given no application."""
    raise TypeError(f"this worker was started without an application, so it cannot enqueue {request!r:.80}")


class Support:
    """What the desks of one worker share."""

    def __init__(self, permissions: Permissions, prepare: Prepare | None = None) -> None:
        self.journal = Journal()
        self.permissions = permissions
        self.prepare: Prepare = prepare or refuse
        self.leaving = threading.Event()


class Desk:
    """One attempt's tools. What it collects is looked at when the attempt ends."""

    __slots__ = ("_flight", "_logger", "_support", "_transaction", "notebook", "permissions")

    def __init__(self, flight: Flight, support: Support) -> None:
        self._flight = flight
        self._support = support
        self._logger: RunLogger | None = None
        self._transaction: Transaction | None = None
        self.notebook = Notebook()
        self.permissions = support.permissions

    @property
    def logger(self) -> Logger:
        """Made when it is first asked for."""
        return self._own_logger()

    def pass_on(self, level: int, text: str, trace: str) -> None:
        """Log what the handler has logged in a process beside this one."""
        self._own_logger().pass_on(level, text, trace)

    def _own_logger(self) -> RunLogger:
        if self._logger is None:
            self._logger = RunLogger(self._flight.delivery, self.note)
        return self._logger

    @property
    def transaction(self) -> Transaction:
        """Made when it is first asked for."""
        if self._transaction is None:
            keys = self._flight.database.keys
            self._transaction = Transaction(keys.own, partial(self._support.prepare, keys))
        return self._transaction

    @property
    def used(self) -> bool:
        """Whether its end has to carry more than an outcome."""
        return bool(self._transaction) or self.notebook.used

    @property
    def collected(self) -> Transaction | None:
        """The transaction, when there is anything in it."""
        return self._transaction or None

    def note(self, text: str, level: str) -> None:
        """Store a line; the journal sends it."""
        self.notebook.add(self._flight.database.clock.now_ms(), level, text)
        self._support.journal.take(self._flight)

    def show_progress(self, progress: Progress) -> None:
        """Store the progress; the journal sends it."""
        self.notebook.show(progress)
        self._support.journal.take(self._flight)

    def ending(self) -> str:
        """The state that the attempt was given from outside, or `shutdown`."""
        outcome = self._flight.outcome
        if outcome is not None:
            return str(outcome.state)
        return "shutdown" if self._support.leaving.is_set() else ""

    def first_of_occurrence(self) -> bool:
        """Decided by who asks first."""
        delivery, database = self._flight.delivery, self._flight.database
        slot = delivery.message.slot
        if slot is None:
            return False
        attempt = ids.attempt_id(delivery.message.run, delivery.attempt)
        return database.call(occurrences.mark_start(database.keys, slot.occurrence, attempt)).word == "FIRST"

    def limit(self, seconds: float) -> None:
        """The watch looks at it."""
        flight, limit_ms = self._flight, max(1, round(seconds * 1000))
        flight.limit_ms = min(flight.limit_ms or limit_ms, limit_ms)

    def last_run_at(self) -> datetime | None:
        """Looked up in the job's history."""
        slot = self._flight.delivery.message.slot
        found = last_run_before(self._flight.database, slot.job, slot.due) if slot is not None else None
        return None if found is None else datetime.fromtimestamp(found / 1000, UTC)
