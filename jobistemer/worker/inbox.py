"""Where fetched work waits for a slot, and how much of it there may be."""

from __future__ import annotations

import threading

AHEAD_S = 0.05
"""How much work is fetched ahead, in seconds at the measured rate."""
MOST_AHEAD = 1_000
_WEIGHT = 0.2


class Room:
    """How many entries may be taken: at least a slot's worth, at most a thousand, about 50 ms of work between.

    So long tasks are never parked behind one another in a worker while others idle, and short ones flow in large
    batches. `taken` is written by the fetching thread only, `done` and the rate by the committing thread only.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._seconds_per_run = AHEAD_S
        self._changed = threading.Event()
        self.taken = 0
        self.done = 0

    @property
    def in_flight(self) -> int:
        """Entries that were taken and are not ended yet."""
        return self.taken - self.done

    @property
    def rate(self) -> float:
        """Runs a second that the slots can work off, as measured."""
        return self._concurrency / max(self._seconds_per_run, 1e-6)

    def free(self) -> int:
        """How many more entries may be taken now; at most 0 when there is no room."""
        ahead = min(max(self._concurrency, int(self.rate * AHEAD_S)), MOST_AHEAD)
        return ahead - self.in_flight

    def wait(self, seconds: float) -> None:
        """Wait until something was ended."""
        self._changed.wait(seconds)
        self._changed.clear()

    def ended(self, count: int, seconds: float) -> None:
        """Note that `count` entries were ended which took `seconds` of slots' time together."""
        self.done += count
        if seconds >= 0 and count:
            self._seconds_per_run += (seconds / count - self._seconds_per_run) * min(1.0, _WEIGHT * count)
        self._changed.set()
