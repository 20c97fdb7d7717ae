"""The context of an attempt: what a handler can learn of its call and do about it.

A handler gets it by a parameter annotated with `Context`. The facts are values. Actions (log, show progress, ask for a
cancel, collect a transaction) are done by `tools`, which the worker provides: nothing here knows Redis, a clock or a
thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol

import msgspec

from jobistemer.core.builtin_tasks import Permissions
from jobistemer.core.checks import check_name
from jobistemer.core.errors import Misconfigured
from jobistemer.core.handlers.attempt_log import Progress, build_progress
from jobistemer.core.handlers.durable import DurableMethods, Steps
from jobistemer.core.handlers.local_tools import LocalTools
from jobistemer.core.handlers.map_flow import step_map
from jobistemer.core.handlers.step_journal import CURRENT_STEP
from jobistemer.core.runs.transaction import Transaction

LogExtra = dict[str, object] | None


class Logger(Protocol):
    """The logger of a context; a `logging.LoggerAdapter` in a worker."""

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
    """The services of a worker for one attempt."""

    @property
    def logger(self) -> Logger:
        """The logger of the attempt: writes to the log of the process and to the record of the attempt."""
        ...

    @property
    def transaction(self) -> Transaction:
        """The transaction that is applied with the outcome."""
        ...

    @property
    def permissions(self) -> Permissions:
        """The permissions of the built-in tasks on this worker."""
        ...

    @property
    def steps(self) -> Steps:
        """The steps of the attempt."""
        ...

    def store_line(self, text: str, level: str) -> None:
        """Store a line with the attempt."""
        ...

    def set_progress(self, progress: Progress) -> None:
        """Store the progress of the attempt."""
        ...

    def find_stop_reason(self) -> str:
        """Return why the handler should end: `canceled`, `timed_out`, `shutdown`; empty while it should not."""
        ...

    def find_cancel_reason(self) -> str:
        """Return why the run was cancelled; empty while nobody has cancelled it."""
        ...

    def find_last_run(self) -> datetime | None:
        """Return when the job ran last before this occurrence, or None."""
        ...

    def is_first_of_occurrence(self) -> bool:
        """Return whether no attempt of the same occurrence has begun before this one."""
        ...

    def set_time_limit(self, seconds: float) -> None:
        """Have the attempt stopped after so many seconds, counted from its start, if not before."""
        ...


class Mapper(Protocol):
    """The service behind `Context.map`, provided by the worker."""

    def __call__(self, task: Any, items: Iterable[Any], reduce: Any, failure: str | None) -> str:
        """Add the runs. Returns the id of the run that waits for them."""
        ...

    def start_part(self, task: Any, items: Iterable[Any], failure: str, number: int) -> tuple[str, int]:
        """Add the runs of a step. Returns their group and how many there are."""
        ...

    def collect_part(self, group: str, count: int) -> list[bytes | None] | None:
        """Return the results of the runs of a step as they are stored, None while not all of them have ended."""
        ...

    async def call_in_thread(self, task: Any, items: Iterable[Any], reduce: Any, failure: str | None) -> str:
        """Add the runs without blocking the event loop. Returns the id of the run that waits for them."""
        ...


class AttemptInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about one attempt, the same wherever it runs.

    attempt counts from 0. due_at is the due instant of the occurrence, or when the call was enqueued; started_at is
    when the attempt began. stands_for lists the instants that a compressed run stands for, its own included; of other
    runs it is empty. fencing_token grows with each attempt of the run: give it to other systems that can refuse older
    ones.
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


class Context(DurableMethods, AttemptInfo, frozen=True, kw_only=True):
    """The circumstances of one attempt, and what its handler can do beside returning."""

    tools: Tools = msgspec.field(default_factory=LocalTools)
    mapping: Mapper | None = None

    @property
    def logger(self) -> Logger:
        """The logger of the run; its lines are stored with the attempt too, the last 1,000 of them."""
        return self.tools.logger

    @property
    def transaction(self) -> Transaction:
        """Redis writes and follow-up calls that are applied with the outcome if it is a success, or never.

        Within a step they are applied with its record.
        """
        running = CURRENT_STEP.get()
        if running is None:
            return self.tools.transaction
        if running.transaction is None:
            running.transaction = self.tools.steps.flows.host.new_transaction()
        return running.transaction

    @property
    def canceled(self) -> bool:
        """Return whether the handler should end: the run was cancelled, its time is over, or the worker shuts down."""
        return self.tools.find_stop_reason() != ""

    @property
    def ending(self) -> str:
        """Return why the handler should end: `canceled`, `timed_out` or `shutdown`; empty while it should not.

        After `shutdown` an attempt that ends within the grace period still counts.
        """
        return self.tools.find_stop_reason()

    @property
    def cancel_reason(self) -> str:
        """Return why the run was cancelled; empty while nobody has cancelled it. Asks the server each time.

        Waits while the server is away, for a minute at most, except on an event loop. Raises NotConnected then.
        """
        return self.tools.find_cancel_reason()

    @property
    def permissions(self) -> Permissions:
        """The permissions of the built-in tasks on this worker."""
        return self.tools.permissions

    @property
    def last_run_at(self) -> datetime | None:
        """When the job ran before, None for the first time and outside of jobs. Asks the server each time.

        Waits while the server is away, for a minute at most, except on an event loop. Raises NotConnected then.
        """
        return self.tools.find_last_run()

    def log(self, text: str, level: str = "info") -> None:
        """Store a line with the attempt, and only there."""
        self.tools.store_line(text if isinstance(text, str) else str(text), check_name("level", level))

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Store how far the work has come; `jobistemer run watch` shows it.

        done, total: finite numbers, total None when it is not known. note: a text, of which 4,000 characters are kept.
        Raises InvalidInput for a number that is none.
        """
        self.tools.set_progress(build_progress(done, total, note))

    def map(self, task: Any, items: Iterable[Any], *, reduce: Any = None, failure: str | None = None) -> str:
        """Have workers run `task` once for each item, and `reduce` once with the results, in order.

        task, reduce: tasks or their names. An item is a mapping of keyword arguments, or the single argument. failure:
        fail_fast, continue or retry_on_failure; by default as the task of the job says, else fail_fast.

        Returns the id of the reducer's run. That run waits until this attempt has succeeded and all runs have ended.
        The method may be called up to fifty times in an attempt; what comes after the task waits for all of the
        reducers. An attempt after a crash adds only what is missing, so calls and items must be the same again. When
        the run fails for good or is cancelled, the runs it has made so far are cancelled with it. Raises Conflict,
        InvalidPayload, PayloadTooLarge, UnknownTask, or NotConnected when the server stays away for a minute.
        """
        return _require_mapping(self.mapping)(task, items, reduce, failure)

    def step_map(self, name: str, task: Any, items: Iterable[Any], *, failure: str = "fail_fast") -> list[Any]:
        """Have workers run `task` once for each item, and return the results in order; all of it is one step.

        items, task: as for `map`; failure: `fail_fast`, `retry_on_failure`, or `continue`, with which None stands in
        place of the result of a run that failed. While the runs go on, this one is suspended, and looks after 1, 2, 4
        and so on up to 60 s whether they have ended. The results together are limited as that of a step is.
        Raises StepFailed when a run failed, InvalidStep, or what `map` raises.
        """
        steps = self.tools.steps
        flow = step_map(steps.flows, _require_mapping(self.mapping), name, task, items, failure)
        found: list[Any] = steps.run(flow)
        return found

    async def step_map_async(
        self, name: str, task: Any, items: Iterable[Any], *, failure: str = "fail_fast"
    ) -> list[Any]:
        """Do the same as `step_map`, awaited."""
        steps = self.tools.steps
        flow = step_map(steps.flows, _require_mapping(self.mapping), name, task, items, failure)
        found: list[Any] = await steps.run_async(flow)
        return found

    async def map_async(
        self, task: Any, items: Iterable[Any], *, reduce: Any = None, failure: str | None = None
    ) -> str:
        """Map like `map`, without blocking the event loop."""
        return await _require_mapping(self.mapping).call_in_thread(task, items, reduce, failure)


def _require_mapping(mapping: Mapper | None) -> Mapper:
    if mapping is None:
        raise Misconfigured("ctx.map works inside a worker; in a test give the context a `mapping`")
    return mapping
