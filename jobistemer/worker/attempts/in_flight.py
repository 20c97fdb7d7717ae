"""The attempts in flight: how much fetched work may wait for a slot, and which attempts run at this moment.

An attempt is in flight from its fetch until its outcome is recorded. `Prefetch` counts all of these by their entries;
`RunningAttempts` has those whose handler has been called and has not returned.
"""

from __future__ import annotations

import math
import threading
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from operator import attrgetter

from jobistemer.core.errors import JobistemerError
from jobistemer.core.runs.settle import Outcome
from jobistemer.core.states import AttemptState
from jobistemer.store.database import Database
from jobistemer.worker.attempts.attempt import Attempt, AttemptTools, EntryKey, ToolsFactory
from jobistemer.worker.attempts.early_count import EarlyCount
from jobistemer.worker.attempts.long_attempts import LongAttempts

PREFETCH_S = 0.05
"""How much work is fetched ahead, in seconds at the measured rate."""
MAX_PREFETCH = 1_000
MAX_CANCELS = 10_000
"""How many cancelled runs a worker remembers; the oldest are forgotten first."""
_GAIN = 0.2
_MISSING = object()

_started = attrgetter("started")


def no_tools(attempt: Attempt) -> AttemptTools:
    """Refuse to make tools, in a worker where no handler asks for a context. Raises LookupError."""
    raise LookupError(f"{attempt.handler.name} asks for a context, and this worker has no tools for it")


class Prefetch:
    """How many entries may be fetched: what the free slots can begin within about 50 ms, a thousand at the most.

    A slot whose run has lasted longer than that is not free: what waits behind such runs may wait for ever, while other
    workers are idle. So a worker takes nothing when all its slots are busy with them, and short runs flow in large
    batches. The entries are held in a set that is changed by single operations, which are atomic: fetching threads add,
    the thread that ends or hands back an entry removes it, and removing one twice does no harm. No lock is taken for a
    run.
    """

    def __init__(self, concurrency: int, count_long: Callable[[], int] = int) -> None:
        """Prepare for nothing in flight. count_long: how many attempts have been running for longer than PREFETCH_S."""
        self._concurrency = concurrency
        self._count_long = count_long
        self._seconds_per_run = PREFETCH_S
        self._changed = threading.Event()
        self.held: set[EntryKey] = set()
        """The entries that were fetched and have not ended; changed by the methods of this class alone."""
        self._lock = threading.Lock()
        self._reserved = 0
        self.early = EarlyCount()
        """Those of them that are not due yet."""
        self.blocked = 0
        """How many attempts stand still because another one blocks their event loop; written by the watching thread."""
        self.count_runs_left: Callable[[], int] | None = None
        """How many more runs this worker may execute, counted from those it has recorded; None without such a limit."""

    @property
    def in_flight(self) -> int:
        """Return how many entries were fetched and have not ended."""
        return len(self.held)

    @property
    def has_idle_slot(self) -> bool:
        """Return whether a slot has certainly nothing to do."""
        return len(self.held) - self.early.total < self._concurrency + self.blocked

    def full_streams(self) -> Collection[bytes]:
        """Return the streams from which nothing is fetched now: what is not due yet is as much as may be kept."""
        free = self._concurrency + self.blocked - self._count_long()
        return self.early.by_stream if self.early.total >= self._ahead(free) else ()

    def entries(self) -> frozenset[EntryKey]:
        """Return the entries that were fetched and have not ended."""
        return frozenset(self.held)

    def add(self, keys: Collection[EntryKey]) -> None:
        """Note that entries were fetched."""
        self.held.update(keys)

    def remove(self, keys: Collection[EntryKey]) -> None:
        """Note that entries are no longer this worker's."""
        self.held.difference_update(keys)
        self._changed.set()

    @property
    def rate(self) -> float:
        """Return how many runs a second the slots can work off, as measured."""
        return self._concurrency / max(self._seconds_per_run, 1e-6)

    def capacity(self) -> int:
        """Return how many more entries may be fetched now; 0 or less when there is no room."""
        # `_ahead` is written out: this is asked with each read.
        long = self._count_long()
        free = self._concurrency + self.blocked - long
        ahead_runs = free / max(self._seconds_per_run, 1e-6) * PREFETCH_S
        ahead = min(max(free, int(ahead_runs)), MAX_PREFETCH) if free > 0 else 0
        # What is not due yet takes no room from what is.
        left = ahead - (len(self.held) - long - self.early.total)
        if self.count_runs_left is not None:
            left = min(left, self.count_runs_left() - len(self.held))
        return left - self._reserved

    def left(self) -> int:
        """Return how many more entries can begin soon, those included whose room another thread has reserved."""
        return self.capacity() + self._reserved

    def allowed_waiting(self) -> int | None:
        """Return how many entries may wait in this worker; None when there are not more than that.

        Twice of what would be fetched where slots become free: the rate is an estimate, and what is a little too much
        begins soon all the same. None at all behind runs that are all long.
        """
        long = self._count_long()
        free = self._concurrency + self.blocked - long
        allowed = 2 * self._ahead(free)
        return allowed if len(self.held) - self.early.total - long > allowed + max(0, free) else None

    def _ahead(self, free_slots: int) -> int:
        if free_slots <= 0:
            return 0
        return min(max(free_slots, int(free_slots / max(self._seconds_per_run, 1e-6) * PREFETCH_S)), MAX_PREFETCH)

    @contextmanager
    def reserve(self) -> Iterator[int]:
        """Keep all the room there is from the threads that read other shards; yields how many entries that is.

        Without it the threads of sixteen shards would each take the room that all of them see.
        """
        with self._lock:
            room = max(0, self.capacity())
            self._reserved += room
        try:
            yield room
        finally:
            with self._lock:
                self._reserved -= room

    def wait(self, seconds: float) -> None:
        """Wait until an entry has ended, for so many seconds at the most."""
        self._changed.wait(seconds)
        self._changed.clear()

    def finish(self, keys: Collection[EntryKey], seconds: float) -> None:
        """Note that entries have ended, which took `seconds` of slots' time together.

        The threads of several shards call this, and one measurement of two may get lost: it is an estimate.
        """
        if seconds >= 0 and keys:
            mean = seconds / len(keys)
            # Longer runs count at once, shorter ones by and by: a few short ones among long ones must not make
            # this worker take a thousand.
            gain = 1.0 if mean > self._seconds_per_run else _GAIN
            self._seconds_per_run += (mean - self._seconds_per_run) * gain
        self.held.difference_update(keys)
        self._changed.set()


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
        # Those that a slot has, and whose process is being started.
        self._preparing: dict[Attempt, None] = {}
        self.long_attempts = LongAttempts()
        # Runs that were cancelled while this worker had them, with the reason; some may still wait for a slot.
        self._canceled: dict[str, str] = {}
        self._cancel_lock = threading.Lock()

    def prepare(self, attempt: Attempt) -> None:
        """Note that a slot has this attempt and waits for a process, before it begins it."""
        self._preparing[attempt] = None

    def end_preparation(self, attempt: Attempt) -> bool:
        """Return whether the slot may begin the attempt: not when it was taken back meanwhile."""
        return self._preparing.pop(attempt, _MISSING) is not _MISSING

    def take_preparing(self) -> list[Attempt]:
        """Take back the attempts that wait for a process: their slots will not begin them."""
        return [each for each in list(self._preparing) if self.end_preparation(each)]

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
        if attempt.delivery.message.run in self._canceled and attempt.delivery.message.undoing is None:
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
        if self._running.pop(attempt, _MISSING) is _MISSING:
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

    def count_by_task(self) -> dict[str, int]:
        """Return how many attempts are running, by `<queue> <task>`."""
        messages = (each.delivery.message for each in list(self._running))
        return Counter(f"{each.queue} {each.handler}" for each in messages)

    def count_long(self) -> int:
        """Return how many attempts have been running for longer than the time for which work is fetched ahead."""
        # They are listed in the order of their starts, as good as: no more are looked at than a search needs.
        return bisect_left(list(self._running), time.monotonic() - PREFETCH_S, key=_started) if self._running else 0

    def canceled_outcome(self, attempt: Attempt) -> Outcome:
        """Return the outcome of an attempt whose handler is not to be called."""
        why = self._canceled.get(attempt.delivery.message.run)
        return Outcome(AttemptState.CANCELED, error=f"canceled: {why}" if why else "canceled", unbegun=True)

    def cancel(self, runs_to_cancel: Mapping[str, str]) -> None:
        """Remember cancelled runs, with the reason where it is known, so that none of them is begun."""
        # The threads of several shards call this.
        with self._cancel_lock:
            self._canceled |= runs_to_cancel
            while len(self._canceled) > MAX_CANCELS:
                del self._canceled[next(iter(self._canceled))]


def end_prepared(attempts: RunningAttempts, attempt: Attempt, outcome: Outcome) -> bool:
    """End an attempt that was prepared and not begun. Returns whether the caller must report it."""
    is_mine = attempts.end_preparation(attempt)
    if is_mine:
        attempts.end_unstarted(attempt, outcome)
    return is_mine
