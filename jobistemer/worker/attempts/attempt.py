"""What a worker has taken and not yet ended."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Protocol

from jobistemer.core.handlers.context import Tools
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.jobs.limits import LimitUse
from jobistemer.core.jobs.options import PROCESS
from jobistemer.core.runs.message import Delivery, Message
from jobistemer.core.runs.settle import Outcome
from jobistemer.core.runs.transaction import Transaction
from jobistemer.core.states import AttemptState
from jobistemer.store.calls import runs
from jobistemer.store.calls.runs import EndedAttempt
from jobistemer.store.database import Database
from jobistemer.store.scripts import ScriptCall
from jobistemer.worker.attempts.log_buffer import LogBuffer

MAX_CANCELS = 10_000
MISSING = object()
NO_HANDLERS: Mapping[str, Handler] = {}


class AttemptTools(Tools, Protocol):
    """The tools of an attempt, with what was collected by them as the commit needs it."""

    log_buffer: LogBuffer

    @property
    def has_effects(self) -> bool:
        """Whether anything was collected: notes or a transaction."""
        ...

    @property
    def pending_transaction(self) -> Transaction | None:
        """The handler's transaction, when there is anything in it."""
        ...

    def log_forwarded(self, level: int, text: str, trace: str) -> None:
        """Log what the handler has logged in a process beside the worker."""
        ...


class Attempt:
    """One attempt in this worker. `outcome` is written once, by who took it out of the running ones."""

    __slots__ = (
        *(
            "needs_process",
            "database",
            "delivery",
            "tools",
            "ended",
            "handler",
            "handlers",
            "key",
            "limit_ms",
            "mapped",
        ),
        *("outcome", "record", "reducers", "is_start_recorded", "started", "stop", "timeout_note", "uses", "worker"),
    )

    def __init__(
        self,
        database: Database,
        delivery: Delivery,
        handler: Handler,
        worker: str,
        handlers: Mapping[str, Handler] = NO_HANDLERS,
    ) -> None:
        self.database = database
        self.delivery = delivery
        # What names an entry among all streams of all shards.
        self.key = (delivery.stream, delivery.entry)
        self.handler = handler
        # It may cost the process that it runs in: its handler asks for one of its own, or a worker died over it.
        self.needs_process = handler.executor == PROCESS or delivery.crashes > 0
        self.worker = worker
        self.handlers = handlers
        # When it was taken, until it begins.
        self.started = time.monotonic()
        self.ended = 0.0
        self.outcome: Outcome | None = None
        # How many groups of runs this attempt has begun to make, and what waits for those that are complete.
        self.mapped = 0
        self.reducers: tuple[Message, ...] = ()
        # What is recorded of it, written by the committing thread.
        self.record: EndedAttempt | None = None
        self.is_start_recorded = False
        self.limit_ms = delivery.message.timeout_ms
        self.stop: Callable[[], None] | None = None
        # What its record has to say beside a time-out.
        self.timeout_note = ""
        # There is one only when a context was asked for.
        self.tools: AttemptTools | None = None
        # The limits that it counts under, from the moment they have let it in.
        self.uses: tuple[LimitUse, ...] = ()

    def build_start_call(self) -> ScriptCall:
        """The call that records the attempt as running."""
        started_ms = self.database.clock.at_ms(self.started)
        return runs.start_attempt(self.database.keys, self.delivery, self.worker, started_ms)


ToolsFactory = Callable[[Attempt], AttemptTools]


def no_tools(attempt: Attempt) -> AttemptTools:
    """Stands for the desks of a worker where no handler asks for a context."""
    raise LookupError(f"{attempt.handler.name} asks for a context, and there is nobody to give it one")


class RunningAttempts:
    """The attempts that are running.

    Ending one is a race between the slot that ran it and the watchdog that stopped it. Taking it out of this
    dictionary decides the race: `dict.pop` is atomic, and only who gets the attempt reports its outcome.
    """

    def __init__(self, lease_s: float = math.inf, create_tools: ToolsFactory = no_tools) -> None:
        self.create_tools = create_tools
        self._lease_s = lease_s
        opened = time.monotonic()
        # For each shard when this worker has last beaten there, and what was taken until when is in doubt.
        self._leases: defaultdict[int, tuple[float, float]] = defaultdict(lambda: (opened, opened))
        # By identity: entries of two streams may have the same id, made in the same millisecond.
        self._running: dict[Attempt, None] = {}
        # Runs that somebody cancelled while this worker had them; some may still wait for a slot.
        self._canceled: dict[str, str] = {}

    def begin(self, attempt: Attempt, stop: Callable[[], None]) -> bool:
        """Note that a slot runs this attempt now, or that it was cancelled before; `stop` interrupts it."""
        attempt.stop = stop
        attempt.started = time.monotonic()
        self._running[attempt] = None
        return attempt.delivery.message.run not in self._canceled

    def record_beat(self, shard: Database) -> None:
        """Note that this worker has beaten; after a gap longer than its lease, others may have what it had taken."""
        now, (last_beat_at, doubtful_until) = time.monotonic(), self._leases[id(shard)]
        self._leases[id(shard)] = (now, now if now - last_beat_at > self._lease_s else doubtful_until)

    def lease_may_have_expired(self, attempt: Attempt) -> bool:
        """Whether the lease may have run out since the attempt was taken; to be asked before it begins."""
        last_beat_at, doubtful_until = self._leases[id(attempt.database)]
        return attempt.started <= doubtful_until or time.monotonic() - last_beat_at > self._lease_s

    def end(self, attempt: Attempt, outcome: Outcome) -> bool:
        """Whether the caller is the one whose outcome counts; it reports the attempt."""
        if self._running.pop(attempt, MISSING) is MISSING:
            return False
        attempt.ended = time.monotonic()
        attempt.outcome = outcome
        return True

    def running(self) -> list[Attempt]:
        """The attempts that are running at this moment."""
        return list(self._running)

    def canceled_outcome(self, attempt: Attempt) -> Outcome:
        """The outcome of an attempt that is not to be begun."""
        why = self._canceled.get(attempt.delivery.message.run)
        return Outcome(AttemptState.CANCELED, error=f"canceled: {why}" if why else "canceled")

    def cancel(self, runs_to_cancel: Mapping[str, str]) -> None:
        """Remember runs that are to be cancelled, and why where it is known, so that none of them is begun."""
        self._canceled |= runs_to_cancel
        while len(self._canceled) > MAX_CANCELS:
            del self._canceled[next(iter(self._canceled))]
