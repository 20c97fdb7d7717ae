"""The tools behind the `Context` of one attempt, in the worker's own process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from jobistemer.core import ids
from jobistemer.core.builtin_tasks import Permissions
from jobistemer.core.handlers.attempt_log import Progress
from jobistemer.core.handlers.context import Logger
from jobistemer.core.handlers.durable import Steps
from jobistemer.core.handlers.hooks import PrepareCall
from jobistemer.core.runs.message import Message
from jobistemer.core.runs.transaction import Transaction
from jobistemer.core.settings import WorkerSettings
from jobistemer.core.sizes import DEFAULT_LOG_BYTES
from jobistemer.store.calls import occurrences
from jobistemer.store.reads.records import find_cancel_reasons, find_last_run_ms
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.attempts.log_buffer import LogBuffer
from jobistemer.worker.attempts.run_logger import RunLogger
from jobistemer.worker.execute.log_shipper import LogShipper
from jobistemer.worker.execute.server_wait import wait_in_thread
from jobistemer.worker.execute.step_recorder import DirectRecorder, GroupRecorder, Recorder
from jobistemer.worker.execute.step_services import create_steps


def refuse_enqueue(_keys: Any, request: Any) -> Any:
    """Refuse to enqueue, in a worker that was given no application. Raises TypeError."""
    raise TypeError(f"this worker was started without an application, so it cannot enqueue {request!r:.80}")


class ContextResources:
    """The parts that the tools of all attempts of one worker share."""

    def __init__(
        self,
        permissions: Permissions,
        prepare: PrepareCall | None = None,
        recorder: Recorder | None = None,
        max_log_bytes: int = DEFAULT_LOG_BYTES,
    ) -> None:
        self.log_shipper = LogShipper()
        self.permissions = permissions
        self.max_log_bytes = max_log_bytes
        self.prepare: PrepareCall = prepare or refuse_enqueue
        self.recorder: Recorder = recorder or DirectRecorder()
        self.notify: Callable[[Message], None] | None = None
        """Is told of the runs that steps have enqueued, for the hooks of the app."""
        self.is_shutting_down = threading.Event()


def create_resources(settings: WorkerSettings, prepare: PrepareCall | None) -> ContextResources:
    """Create the resources of a worker, which writes the records of concurrent steps together."""
    return ContextResources(settings.permissions, prepare, GroupRecorder(), settings.max_log_bytes)


class ContextTools:
    """The tools of one attempt. What is collected here goes to the server with the end of the attempt."""

    __slots__ = ("_attempt", "_logger", "_resources", "_transaction", "log_buffer", "permissions", "used_steps")

    def __init__(self, attempt: Attempt, resources: ContextResources) -> None:
        self._attempt = attempt
        self._resources = resources
        self._logger: RunLogger | None = None
        self._transaction: Transaction | None = None
        self.used_steps: Steps | None = None
        self.log_buffer = LogBuffer(resources.max_log_bytes)
        self.permissions = resources.permissions

    @property
    def logger(self) -> Logger:
        """The logger of the run, made on first access."""
        return self._get_logger()

    def log_forwarded(self, level: int, text: str, trace: str) -> None:
        """Log a line that the handler has logged in a process beside this one."""
        self._get_logger().log_forwarded(level, text, trace)

    def _get_logger(self) -> RunLogger:
        if self._logger is None:
            self._logger = RunLogger(self._attempt.delivery, self.store_line)
        return self._logger

    @property
    def transaction(self) -> Transaction:
        """The transaction of the attempt, made on first access."""
        if self._transaction is None:
            keys = self._attempt.database.keys
            self._transaction = Transaction(keys.own, partial(self._resources.prepare, keys))
        return self._transaction

    @property
    def steps(self) -> Steps:
        """The steps of the attempt, made on first access."""
        if self.used_steps is None:
            self.used_steps = create_steps(self._attempt, self, self._resources)
        return self.used_steps

    @property
    def has_effects(self) -> bool:
        """Return whether the end of the attempt has to carry more than an outcome."""
        return bool(self._transaction) or self.log_buffer.has_content

    @property
    def pending_transaction(self) -> Transaction | None:
        """The transaction; None when it is empty."""
        return self._transaction or None

    def store_line(self, text: str, level: str) -> None:
        """Keep a line for the log shipper, which sends it."""
        self.log_buffer.add(self._attempt.database.clock.now_ms(), level, text)
        self._resources.log_shipper.add(self._attempt)

    def set_progress(self, progress: Progress) -> None:
        """Keep the progress for the log shipper, which sends it."""
        self.log_buffer.set_progress(progress)
        self._resources.log_shipper.add(self._attempt)

    def find_stop_reason(self) -> str:
        """Return the state that the attempt was given from outside, or `shutdown`, or nothing while it may go on."""
        outcome = self._attempt.outcome or self._attempt.canceled_as
        if outcome is not None:
            return str(outcome.state)
        return "shutdown" if self._resources.is_shutting_down.is_set() else ""

    def is_first_of_occurrence(self) -> bool:
        """Return whether this attempt is the first of its occurrence that asks. Waits as `wait_in_thread` does."""
        delivery, database = self._attempt.delivery, self._attempt.database
        slot = delivery.message.task_ref
        if slot is None:
            return False
        attempt_id = ids.attempt_id(delivery.message.run, delivery.attempt)
        claim = occurrences.claim_first_start(database.keys, slot.occurrence, attempt_id)
        # A second claim by the same attempt is recognised.
        return wait_in_thread(lambda: database.call(claim)).word == "FIRST"

    def set_time_limit(self, seconds: float) -> None:
        """Let the watchdog stop the attempt so many seconds after its start, unless its time-out comes first."""
        attempt, limit_ms = self._attempt, max(1, round(seconds * 1000))
        attempt.limit_ms = min(attempt.limit_ms or limit_ms, limit_ms)

    def find_cancel_reason(self) -> str:
        """Return why the run was cancelled, as its record says; empty while nobody has cancelled it.

        Waits as `wait_in_thread` does.
        """
        database, run = self._attempt.database, self._attempt.delivery.message.run
        return wait_in_thread(lambda: find_cancel_reasons(database, [run])[0])

    def find_last_run(self) -> datetime | None:
        """Return when the job's latest earlier occurrence was started, as its history says; None when there is none.

        Waits as `wait_in_thread` does.
        """
        slot, database = self._attempt.delivery.message.task_ref, self._attempt.database
        if slot is None:
            return None
        found = wait_in_thread(partial(find_last_run_ms, database, slot.job, slot.due))
        return None if found is None else datetime.fromtimestamp(found / 1000, UTC)
