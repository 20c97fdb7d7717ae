"""One attempt in a worker, from its fetch until its outcome is recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct, field

from jobistemer.core.handlers.context import Tools
from jobistemer.core.handlers.durable import Steps
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.jobs.limits import LimitUse
from jobistemer.core.runs.message import Delivery, Message
from jobistemer.core.runs.settle import Outcome
from jobistemer.core.runs.transaction import Transaction
from jobistemer.store.calls import runs
from jobistemer.store.calls.ended_attempt import EndedAttempt
from jobistemer.store.database import Database
from jobistemer.store.scripts import ScriptCall
from jobistemer.worker.attempts.log_buffer import LogBuffer

EntryKey = tuple[bytes, bytes]
"""Stream and entry: names an entry among all streams of all shards."""


class AttemptTools(Tools, Protocol):
    """The tools of an attempt, with what was collected by them as the commit needs it."""

    log_buffer: LogBuffer

    @property
    def has_effects(self) -> bool:
        """Return whether anything was collected: log lines, progress or a transaction."""
        ...

    @property
    def pending_transaction(self) -> Transaction | None:
        """The handler's transaction; None when it is empty."""
        ...

    @property
    def used_steps(self) -> Steps | None:
        """The steps of the attempt; None when its handler has asked for none."""
        ...

    def log_forwarded(self, level: int, text: str, trace: str) -> None:
        """Log a line that the handler has logged in a process beside the worker."""
        ...


class Attempt(Struct, eq=False):
    """One attempt in this worker, from its fetch until its end is recorded.

    `outcome` is written once, by the thread that took the attempt out of the running ones. `ended_attempt` is written
    by the committing thread, `tools` and what follows from them by the handler's slot.

    A Struct, since one is made for each run, and compared by identity: entries of two streams may have the same id.
    """

    database: Database
    delivery: Delivery
    handler: Handler
    worker: str
    handlers: Mapping[str, Handler]
    key: EntryKey
    needs_process: bool
    """It may cost the process that it runs in: its handler asks for one of its own, or a worker died over it."""
    limit_ms: int
    """How long it may run, 0 for no limit: as its message says, or less where its handler has asked for that."""
    read_at: float
    """When the read was sent that has brought it, in monotonic seconds: it may have been handed out since then."""
    started: float = field(default_factory=time.monotonic)
    """Monotonic seconds: of its fetch until it begins, then of its start."""
    ended: float = 0.0
    outcome: Outcome | None = None
    groups_made: int = 0
    """How many groups of runs this attempt has begun to make."""
    reducers: tuple[Message, ...] = ()
    """The runs that wait for the groups of this attempt that are complete."""
    ended_attempt: EndedAttempt | None = None
    """Made once: a second send is known by its times, and the clock may be corrected between the two."""
    is_start_recorded: bool = False
    stop: Callable[[], None] | None = None
    canceled_as: Outcome | None = None
    """Its outcome from the moment at which its handler was asked to end, however that ends by itself."""
    stop_at: float = 0.0
    """Monotonic seconds: when a handler that was asked to end, and has not, is stopped; 0 for none."""
    timeout_note: str = ""
    """What its record says beside a time-out."""
    tools: AttemptTools | None = None
    """None unless the handler asks for a context."""
    limit_uses: tuple[LimitUse, ...] = ()
    """The limits that it counts under, from the moment at which they have admitted it."""
    records: Mapping[bytes, bytes] | None = None
    """The steps of its run by name, as they are stored; None unless they were read when it was fetched."""

    def build_start_call(self) -> ScriptCall:
        """Build the call that records the attempt as running."""
        started_ms = self.database.clock.at_ms(self.started)
        return runs.start_attempt(self.database.keys, self.delivery, self.worker, started_ms)


ToolsFactory = Callable[[Attempt], AttemptTools]
