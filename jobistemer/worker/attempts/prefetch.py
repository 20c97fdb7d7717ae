"""Where fetched work waits for a slot, and how much of it there may be."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager

AHEAD_S = 0.05
"""How much work is fetched ahead, in seconds at the measured rate."""
MOST_AHEAD = 1_000
_GAIN = 0.2

Key = tuple[bytes, bytes]
"""Stream and entry."""


class Room:
    """How many entries may be taken: at least a slot's worth, at most a thousand, about 50 ms of work between.

    So long tasks are never parked behind one another in a worker while others idle, and short ones flow in large
    batches. What is held is a set of entries, changed by single operations that are atomic: fetching threads add,
    whoever ends or hands back an entry removes it, and who removes it twice does no harm.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._seconds_per_run = AHEAD_S
        self._changed = threading.Event()
        self._held: set[Key] = set()
        self._lock = threading.Lock()
        self._reserved = 0
        self.held_up = 0
        """How many attempts stand still because another one blocks their event loop; the watch writes it."""

    @property
    def in_flight(self) -> int:
        """Entries that were taken and are not ended yet."""
        return len(self._held)

    def held(self) -> frozenset[Key]:
        """The entries that were taken and are not ended yet."""
        return frozenset(self._held)

    def take(self, keys: Collection[Key]) -> None:
        """Note that entries were taken."""
        self._held.update(keys)

    def give_back(self, keys: Collection[Key]) -> None:
        """Note that entries are no longer this worker's."""
        self._held.difference_update(keys)
        self._changed.set()

    @property
    def rate(self) -> float:
        """Runs a second that the slots can work off, as measured."""
        return self._concurrency / max(self._seconds_per_run, 1e-6)

    def free(self) -> int:
        """How many more entries may be taken now; at most 0 when there is no room."""
        ahead = min(max(self._concurrency, int(self.rate * AHEAD_S)), MOST_AHEAD)
        return ahead - self.in_flight - self._reserved + self.held_up

    @contextmanager
    def reserved(self) -> Iterator[int]:
        """All the room there is, kept from the threads that read other shards while this one reads."""
        with self._lock:
            room = max(0, self.free())
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

    def ended(self, keys: Collection[Key], seconds: float) -> None:
        """Note that entries were ended which took `seconds` of slots' time together.

        The threads of several shards call this, and one measurement of two may get lost.
        """
        if seconds >= 0 and keys:
            mean = seconds / len(keys)
            # Longer runs count at once, shorter ones by and by: a few short ones among long ones must not make
            # this worker take a thousand.
            gain = 1.0 if mean > self._seconds_per_run else _GAIN
            self._seconds_per_run += (mean - self._seconds_per_run) * gain
        self.give_back(keys)
