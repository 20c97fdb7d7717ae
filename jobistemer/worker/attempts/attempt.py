"""Attempts in this worker: fetched, and their outcomes not yet recorded."""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from operator import attrgetter
from typing import Protocol

from jobistemer.core.errors import JobistemerError
from jobistemer.core.handlers.context import Tools
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.jobs.limits import LimitUse
from jobistemer.core.jobs.options import PROCESS
from jobistemer.core.runs.message import Delivery, Message
from jobistemer.core.runs.settle import Outcome
from jobistemer.core.runs.transaction import Transaction
from jobistemer.core.states import AttemptState
from jobistemer.store.calls import runs
from jobistemer.store.calls.ended_attempt import EndedAttempt
from jobistemer.store.database import Database
from jobistemer.store.scripts import ScriptCall
from jobistemer.worker.attempts.log_buffer import LogBuffer
from jobistemer.worker.attempts.prefetch import PREFETCH_S

MAX_CANCELS = 10_000
"""How many cancelled runs a worker remembers; the oldest are forgotten first."""
MISSING = object()
NO_HANDLERS: Mapping[str, Handler] = {}


class AttemptTools(Tools, Protocol):
    """The tools of an attempt, with what was collected by them as the commit needs it."""

    log_buffer: LogBuffer

    @property
    def has_effects(self) -> bool:
        """Whether anything was collected: log lines, progress or a transaction."""
        ...

    @property
    def pending_transaction(self) -> Transaction | None:
        """The handler's transaction; None when it is empty."""
        ...

    def log_forwarded(self, level: int, text: str, trace: str) -> None:
        """Log a line that the handler has logged in a process beside the worker."""
        ...


class Attempt:
    """One attempt in this worker, from its fetch until its end is recorded.

    `outcome` is written once, by the thread that took the attempt out of the running ones. `ended_attempt` is written
    by the committing thread, `tools` and what follows from them by the handler's slot.
    """

    __slots__ = (
        "database",
        "delivery",
        "ended",
        "ended_attempt",
        "groups_made",
        "handler",
        "handlers",
        "is_start_recorded",
        "key",
        "limit_ms",
        "limit_uses",
        "needs_process",
        "outcome",
        "read_at",
        "reducers",
        "started",
        "stop",
        "timeout_note",
        "tools",
        "worker",
    )

    def __init__(
        self,
        database: Database,
        delivery: Delivery,
        handler: Handler,
        worker: str,
        handlers: Mapping[str, Handler] = NO_HANDLERS,
        read_at: float | None = None,
    ) -> None:
        self.database = database
        self.delivery = delivery
        # Names an entry among all streams of all shards.
        self.key = (delivery.stream, delivery.entry)
        self.handler = handler
        # It may cost the process that it runs in: its handler asks for one of its own, or a worker died over it.
        self.needs_process = handler.executor == PROCESS or delivery.crashes > 0
        self.worker = worker
        self.handlers = handlers
        # Monotonic seconds: of its fetch until it begins, then of its start.
        self.started = time.monotonic()
        # When the read was sent that has brought it: it may have been handed out at any moment since then.
        self.read_at = self.started if read_at is None else read_at
        self.ended = 0.0
        self.outcome: Outcome | None = None
        # How many groups of runs this attempt has begun to make, and the runs that wait for those that are complete.
        self.groups_made = 0
        self.reducers: tuple[Message, ...] = ()
        # Made once: a second send is known by its times, and the clock may be corrected between the two.
        self.ended_attempt: EndedAttempt | None = None
        self.is_start_recorded = False
        self.limit_ms = delivery.message.timeout_ms
        self.stop: Callable[[], None] | None = None
        # What its record says beside a time-out.
        self.timeout_note = ""
        # None unless the handler asks for a context.
        self.tools: AttemptTools | None = None
        # The limits that it counts under, from the moment at which they have admitted it.
        self.limit_uses: tuple[LimitUse, ...] = ()

    def build_start_call(self) -> ScriptCall:
        """Build the call that records the attempt as running."""
        started_ms = self.database.clock.at_ms(self.started)
        return runs.start_attempt(self.database.keys, self.delivery, self.worker, started_ms)


ToolsFactory = Callable[[Attempt], AttemptTools]
_started = attrgetter("started")


def no_tools(attempt: Attempt) -> AttemptTools:
    """Refuse to make tools, in a worker where no handler asks for a context. Raises LookupError."""
    raise LookupError(f"{attempt.handler.name} asks for a context, and this worker has no tools for it")


class RunningAttempts:
    """The attempts that are running in this worker.

    Ending one is a race between the slot that ran it and the watchdog that stopped it. Taking it out of this
    dictionary decides the race: `dict.pop` is atomic, and only the thread that gets the attempt reports its outcome.
    A lock would do as well, and would be taken twice for each run.
    """

    def __init__(self, doubt_s: float = math.inf, create_tools: ToolsFactory = no_tools) -> None:
        """Prepare for attempts. doubt_s: without a beat for so long, it asks the server first."""
        self.create_tools = create_tools
        self._doubt_s = doubt_s
        opened = time.monotonic()
        # For each shard: the time of this worker's last beat there, and up to which time reads are in doubt.
        self._leases: defaultdict[int, tuple[float, float]] = defaultdict(lambda: (opened, opened))
        # By identity: entries of two streams may have the same id, made in the same millisecond.
        self._running: dict[Attempt, None] = {}
        # Runs that were cancelled while this worker had them, with the reason; some may still wait for a slot.
        self._canceled: dict[str, str] = {}

    def begin(self, attempt: Attempt, stop: Callable[[], None]) -> bool:
        """Note that a slot runs this attempt now, and return whether its handler may be called; `stop` interrupts it.

        It may not when the run was cancelled, or when another worker has the entry by now.
        """
        now = time.monotonic()
        last_beat_at, doubtful_until = self._leases[id(attempt.database)]
        # This worker may have been stopped (SIGSTOP, a suspended laptop). Meanwhile the server may have handed it this
        # run, somebody may have cancelled the run, and after its lease another worker may have taken it over.
        in_doubt = attempt.read_at <= doubtful_until or now - last_beat_at > self._doubt_s
        attempt.stop = stop
        attempt.started = now
        # First running, then looked up: a cancellation that comes in between finds the attempt among the running ones.
        self._running[attempt] = None
        if attempt.delivery.message.run in self._canceled:
            return False
        return not (in_doubt or attempt.delivery.crashes) or self._confirm_start(attempt)

    def _confirm_start(self, attempt: Attempt) -> bool:
        """Record the start before the handler is called; return whether the run is still this worker's to execute.

        An attempt that took a worker down before may do so again: its record then tells it from its neighbours.
        """
        # While the server is away the handler is called all the same: its commit is fenced.
        with suppress(JobistemerError):
            return attempt.database.call(attempt.build_start_call()).word == "SHOWN"
        return True

    def record_beat(self, shard: Database) -> None:
        """Note that this worker has beaten; after a gap, what it had read until now is in doubt."""
        now, (last_beat_at, doubtful_until) = time.monotonic(), self._leases[id(shard)]
        self._leases[id(shard)] = (now, now if now - last_beat_at > self._doubt_s else doubtful_until)

    def end(self, attempt: Attempt, outcome: Outcome) -> bool:
        """End a running attempt; return whether this outcome counts: then the caller reports the attempt."""
        if self._running.pop(attempt, MISSING) is MISSING:
            return False
        attempt.ended = time.monotonic()
        attempt.outcome = outcome
        return True

    def end_unstarted(self, attempt: Attempt, outcome: Outcome) -> None:
        """End an attempt that no slot has begun and that no other thread can reach; the caller reports it."""
        attempt.started = attempt.ended = time.monotonic()
        attempt.outcome = outcome

    def interrupt_all(self) -> list[Attempt]:
        """Stop all running attempts because the worker ends, and return those that no other thread has ended.

        Their outcome is not recorded: the caller gives their entries back.
        """
        error = "its worker ended before it"
        stopped = [each for each in self.running() if self.end(each, Outcome(AttemptState.LOST, error=error))]
        for attempt in stopped:
            if attempt.stop is not None:
                attempt.stop()
        return stopped

    def running(self) -> list[Attempt]:
        """Return the attempts that are running at this moment."""
        return list(self._running)

    def count_long(self) -> int:
        """Return how many attempts have been running for longer than the time for which work is fetched ahead."""
        # They are listed in the order of their starts, as good as: no more are looked at than a search needs.
        return bisect_left(list(self._running), time.monotonic() - PREFETCH_S, key=_started) if self._running else 0

    def canceled_outcome(self, attempt: Attempt) -> Outcome:
        """Return the outcome of an attempt whose handler is not to be called."""
        why = self._canceled.get(attempt.delivery.message.run)
        return Outcome(AttemptState.CANCELED, error=f"canceled: {why}" if why else "canceled")

    def cancel(self, runs_to_cancel: Mapping[str, str]) -> None:
        """Remember cancelled runs, with the reason where it is known, so that none of them is begun."""
        self._canceled |= runs_to_cancel
        while len(self._canceled) > MAX_CANCELS:
            del self._canceled[next(iter(self._canceled))]
