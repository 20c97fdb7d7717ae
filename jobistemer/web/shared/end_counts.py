"""How many runs have ended within 31 days: the last two days are read with each look, those before them once a day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from threading import Lock

from jobistemer.store.database import Database
from jobistemer.store.keys import DAY_MS
from jobistemer.store.reads.metrics import COUNTED_DAYS, read_day_counts


class EndCounts:
    """The numbers of ended runs by `<state> <queue> <task>`."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._day = -1
        self._before: Counter[str] = Counter()

    def read(self, shards: Sequence[Database], now_ms: int) -> Counter[str]:
        """Return the counts of all days that are kept."""
        today = now_ms // DAY_MS
        with self._lock:
            if self._day != today:
                self._before, self._day = _sum_days(shards, today - COUNTED_DAYS + 1, today - 2), today
            # A run that ends shortly before midnight, by the clock of its worker, is recorded shortly after it.
            return self._before + _sum_days(shards, today - 1, today)


def _sum_days(shards: Sequence[Database], first: int, last: int) -> Counter[str]:
    return sum((counts for _, counts in read_day_counts(shards, first, last)), Counter())


def count_states(counts: Counter[str], queue: str, task: str) -> Counter[str]:
    """Count by state the runs of a queue (empty for all) whose tasks contain a text, whatever its case."""
    found: Counter[str] = Counter()
    for field, number in counts.items():
        state, _, of = field.partition(" ")
        its_queue, _, its_task = of.partition(" ")
        if queue in {"", its_queue} and task.casefold() in its_task.casefold():
            found[state] += number
    return found
