"""The prefetch: how much fetched work may wait for a slot, and which entries this worker holds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

PREFETCH_S = 0.05
"""How much work is fetched ahead, in seconds at the measured rate."""
MAX_PREFETCH = 1_000
_GAIN = 0.2

EntryKey = tuple[bytes, bytes]
"""Stream and entry."""


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
        self.blocked = 0
        """How many attempts stand still because another one blocks their event loop; written by the watching thread."""
        self.count_runs_left: Callable[[], int] | None = None
        """How many more runs this worker may execute, counted from those it has recorded; None without such a limit."""

    @property
    def in_flight(self) -> int:
        """How many entries were fetched and have not ended."""
        return len(self.held)

    @property
    def has_idle_slot(self) -> bool:
        """Whether a slot has certainly nothing to do."""
        return len(self.held) < self._concurrency + self.blocked

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
        """How many runs a second the slots can work off, as measured."""
        return self._concurrency / max(self._seconds_per_run, 1e-6)

    def capacity(self) -> int:
        """Return how many more entries may be fetched now; 0 or less when there is no room."""
        # `_ahead` is written out: this is asked with each read.
        long = self._count_long()
        free = self._concurrency + self.blocked - long
        ahead_runs = free / max(self._seconds_per_run, 1e-6) * PREFETCH_S
        ahead = min(max(free, int(ahead_runs)), MAX_PREFETCH) if free > 0 else 0
        left = ahead - (len(self.held) - long)
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
        return allowed if len(self.held) - long > allowed + max(0, free) else None

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
