"""What a handler is told about its own call when it asks, by a parameter annotated with `Context`.

The facts are values. What a handler can do about its call (log, note its progress, ask whether it was cancelled,
collect a transaction) is done by `tools`, which the worker gives: nothing here knows Redis, a clock or a thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol

import msgspec

from jobistemer.core.builtin_tasks import Permissions
from jobistemer.core.errors import Misconfigured
from jobistemer.core.handlers.attempt_log import Progress
from jobistemer.core.handlers.local_tools import LocalTools
from jobistemer.core.runs.transaction import Transaction

LogExtra = dict[str, object] | None


class Logger(Protocol):
    """What `context.logger` can do; a `logging.LoggerAdapter` in a worker."""

    def debug(self, msg: object, *args: object, exc_info: Any = None, extra: LogExtra = None) -> None:
        """Log at level debug."""
        ...

    def info(self, msg: object, *args: object, exc_info: Any = None, extra: LogExtra = None) -> None:
        """Log at level info."""
        ...

    def warning(self, msg: object, *args: object, exc_info: Any = None, extra: LogExtra = None) -> None:
        """Log at level warning."""
        ...

    def error(self, msg: object, *args: object, exc_info: Any = None, extra: LogExtra = None) -> None:
        """Log at level error."""
        ...

    def exception(self, msg: object, *args: object, exc_info: Any = None, extra: LogExtra = None) -> None:
        """Log at level error, with the traceback of the exception that is being handled."""
        ...


class Tools(Protocol):
    """What a worker does for one attempt."""

    @property
    def logger(self) -> Logger:
        """Logs to the process and into the record of the attempt."""
        ...

    @property
    def transaction(self) -> Transaction:
        """What is to be applied with the outcome."""
        ...

    @property
    def permissions(self) -> Permissions:
        """What the worker allows the built-in tasks."""
        ...

    def note(self, text: str, level: str) -> None:
        """Store a line with the attempt."""
        ...

    def show_progress(self, progress: Progress) -> None:
        """Store how far the attempt has come."""
        ...

    def ending(self) -> str:
        """Why the handler should end: `canceled`, `timed_out`, `shutdown`; empty while it should not."""
        ...

    def last_run_at(self) -> datetime | None:
        """When the job ran before this occurrence."""
        ...

    def is_first_of_occurrence(self) -> bool:
        """Whether no attempt of the same occurrence has begun before this one."""
        ...

    def limit(self, seconds: float) -> None:
        """Have the attempt stopped after so many seconds, counted from its start, if not before."""
        ...


class Mapper(Protocol):
    """What `Context.map` does, given by the worker."""

    def __call__(self, task: Any, items: Iterable[Any], reduce: Any, failure: str | None) -> str:
        """Add the runs; the id of the run that waits for them."""
        ...

    async def call_in_thread(self, task: Any, items: Iterable[Any], reduce: Any, failure: str | None) -> str:
        """The same without blocking the event loop."""
        ...


class AttemptInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What can be told of one attempt, wherever it runs.

    attempt counts from 0. due_at is the due instant of the occurrence, or when the call was enqueued; started_at is
    when the attempt began.
    stands_for lists the instants that a compressed run stands for, its own included; of other runs it is empty.
    fencing_token grows with each attempt of the run: hand it to other systems that can refuse older ones.
    """

    run: str
    attempt: int
    attempt_id: str
    handler: str
    due_at: datetime
    started_at: datetime
    fencing_token: int
    job: str | None = None
    occurrence: str | None = None
    stands_for: tuple[datetime, ...] = ()
    metadata: dict[str, str] = {}
    headers: dict[str, str] = {}
    queue: str = ""


class Context(AttemptInfo, frozen=True, kw_only=True):
    """The circumstances of one attempt, and what its handler can do beside returning."""

    tools: Tools = msgspec.field(default_factory=LocalTools)
    mapping: Mapper | None = None

    @property
    def logger(self) -> Logger:
        """A logger that knows the run; what it logs is stored with the attempt too, the last 1,000 lines."""
        return self.tools.logger

    @property
    def transaction(self) -> Transaction:
        """Redis writes and follow-up calls that are applied with the outcome, when it is a success, or not at all."""
        return self.tools.transaction

    @property
    def canceled(self) -> bool:
        """Whether the handler should end: the run was cancelled, its time is over, or the worker shuts down."""
        return self.tools.ending() != ""

    @property
    def ending(self) -> str:
        """Why it should: `canceled`, `timed_out`, `shutdown` (what ends within the grace period counts), else empty."""
        return self.tools.ending()

    @property
    def permissions(self) -> Permissions:
        """What the worker allows the built-in tasks."""
        return self.tools.permissions

    @property
    def last_run_at(self) -> datetime | None:
        """When the job ran before, None for the first time and outside of jobs. Asks the server each time."""
        return self.tools.last_run_at()

    def log(self, text: str, level: str = "info") -> None:
        """Store a line with the attempt, and only there."""
        self.tools.note(text, level)

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Say how far the work has come; `jobistemer run watch` shows it."""
        self.tools.show_progress(Progress(done, total, note))

    def map(self, task: Any, items: Iterable[Any], *, reduce: Any = None, failure: str | None = None) -> str:
        """Have workers run `task` once for each item, and `reduce` once with what they return, in order.

        task, reduce: tasks or their names. An item is a mapping of keyword arguments, or the single argument.
        failure: fail_fast, continue or retry_on_failure; by default as the task of the job says, else fail_fast.
        The reducer's run, whose id is returned, waits until this attempt has succeeded and all of them have ended.
        It may be called up to fifty times in an attempt; what comes after the task waits for all of the reducers. An
        attempt after a crash adds only what is missing, so calls and items must be the same again. When the run fails
        for good or is cancelled, what it has made so far is cancelled with it.
        Raises Conflict, InvalidPayload, PayloadTooLarge, UnknownTask or NotConnected.
        """
        return _require_mapping(self.mapping)(task, items, reduce, failure)

    async def map_async(
        self, task: Any, items: Iterable[Any], *, reduce: Any = None, failure: str | None = None
    ) -> str:
        """Like `map`, awaited."""
        return await _require_mapping(self.mapping).call_in_thread(task, items, reduce, failure)


def _require_mapping(mapping: Mapper | None) -> Mapper:
    if mapping is None:
        raise Misconfigured("ctx.map works inside a worker; in a test give the context a `mapping`")
    return mapping
