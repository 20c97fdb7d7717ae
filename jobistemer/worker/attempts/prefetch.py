"""The prefetch: how much fetched work may wait for a slot, and which entries this worker holds."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager

PREFETCH_S = 0.05
"""How much work is fetched ahead, in seconds at the measured rate."""
MAX_PREFETCH = 1_000
_GAIN = 0.2

EntryKey = tuple[bytes, bytes]
"""Stream and entry."""


class Prefetch:
    """How many entries may be fetched: at least one for each slot, at most a thousand, about 50 ms of work between.

    So long tasks are never parked behind one another in a worker while others idle, and short ones flow in large
    batches. The entries are held in a set that is changed by single operations, which are atomic: fetching threads add,
    the thread that ends or hands back an entry removes it, and removing one twice does no harm. No lock is taken for a
    run.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._seconds_per_run = PREFETCH_S
        self._changed = threading.Event()
        self.held: set[EntryKey] = set()
        """The entries that were fetched and have not ended; changed by the methods of this class alone."""
        self._lock = threading.Lock()
        self._reserved = 0
        self.blocked = 0
        """How many attempts stand still because another one blocks their event loop; written by the watching thread."""

    @property
    def in_flight(self) -> int:
        """How many entries were fetched and have not ended."""
        return len(self.held)

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
        # `rate` is written out: this is asked with each read.
        ahead_runs = self._concurrency / max(self._seconds_per_run, 1e-6) * PREFETCH_S
        ahead = min(max(self._concurrency, int(ahead_runs)), MAX_PREFETCH)
        return ahead - len(self.held) - self._reserved + self.blocked

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
