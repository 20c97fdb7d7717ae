"""Where fetched work waits for a slot, and how much of it there may be."""

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
    """How many entries may be taken: at least a slot's worth, at most a thousand, about 50 ms of work between.

    So long tasks are never parked behind one another in a worker while others idle, and short ones flow in large
    batches. What is held is a set of entries, changed by single operations that are atomic: fetching threads add,
    whoever ends or hands back an entry removes it, and who removes it twice does no harm.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._seconds_per_run = PREFETCH_S
        self._changed = threading.Event()
        self._entries: set[EntryKey] = set()
        self._lock = threading.Lock()
        self._reserved = 0
        self.blocked = 0
        """How many attempts stand still because another one blocks their event loop; the watchdog writes it."""

    @property
    def in_flight(self) -> int:
        """Entries that were taken and are not ended yet."""
        return len(self._entries)

    def entries(self) -> frozenset[EntryKey]:
        """The entries that were taken and are not ended yet."""
        return frozenset(self._entries)

    def add(self, keys: Collection[EntryKey]) -> None:
        """Note that entries were taken."""
        self._entries.update(keys)

    def remove(self, keys: Collection[EntryKey]) -> None:
        """Note that entries are no longer this worker's."""
        self._entries.difference_update(keys)
        self._changed.set()

    @property
    def rate(self) -> float:
        """Runs a second that the slots can work off, as measured."""
        return self._concurrency / max(self._seconds_per_run, 1e-6)

    def capacity(self) -> int:
        """How many more entries may be taken now; at most 0 when there is no room."""
        ahead = min(max(self._concurrency, int(self.rate * PREFETCH_S)), MAX_PREFETCH)
        return ahead - self.in_flight - self._reserved + self.blocked

    @contextmanager
    def reserve(self) -> Iterator[int]:
        """All the room there is, kept from the threads that read other shards while this one reads."""
        with self._lock:
            room = max(0, self.capacity())
            self._reserved += room
        try:
            yield room
        finally:
            with self._lock:
                self._reserved -= room

    def wait(self, seconds: float) -> None:
        """Wait until something was ended."""
        self._changed.wait(seconds)
        self._changed.clear()

    def finish(self, keys: Collection[EntryKey], seconds: float) -> None:
        """Note that entries were ended which took `seconds` of slots' time together.

        The threads of several shards call this, and one measurement of two may get lost.
        """
        if seconds >= 0 and keys:
            mean = seconds / len(keys)
            # Longer runs count at once, shorter ones by and by: a few short ones among long ones must not make
            # this worker take a thousand.
            gain = 1.0 if mean > self._seconds_per_run else _GAIN
            self._seconds_per_run += (mean - self._seconds_per_run) * gain
        self.remove(keys)
