"""How many runs have ended within 31 days.

The last two days are read with each look, and one of the days before them in turn: an end that is recorded days after
it, by a worker that was cut off, is counted after as many looks as there are days.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from threading import Lock

from jobistemer.store.database import Database
from jobistemer.store.keys import DAY_MS
from jobistemer.store.reads.metrics import COUNTED_DAYS, read_day_counts

_RECENT_DAYS = 2
"""A run that ends shortly before midnight, by the clock of its worker, is recorded shortly after it."""


class EndCounts:
    """The numbers of ended runs by `<state> <queue> <task>`."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._days: dict[int, Counter[str]] = {}
        self._sum: Counter[str] = Counter()
        self._turn = 0

    def read(self, shards: Sequence[Database], now_ms: int) -> Counter[str]:
        """Return the counts of all days that are kept."""
        today = now_ms // DAY_MS
        older = range(today - COUNTED_DAYS + 1, today - _RECENT_DAYS + 1)
        recent: Counter[str] = Counter()
        with self._lock:
            for day in [each for each in self._days if each not in older]:
                self._put(day, Counter())
                del self._days[day]
            self._turn = (self._turn + 1) % len(older)
            again = {older[self._turn], *(day for day in older if day not in self._days)}
            for day, counts in read_day_counts(shards, [*sorted(again), *range(older.stop, today + 1)]):
                if day in older:
                    self._put(day, counts)
                else:
                    recent += counts
            return self._sum + recent

    def _put(self, day: int, counts: Counter[str]) -> None:
        # What has become nothing is left out by the difference: names of tasks come and go.
        self._sum = self._sum - self._days.get(day, Counter()) + counts
        self._days[day] = counts
