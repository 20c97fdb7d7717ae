"""How many runs have ended within 31 days: days that are over are read once a day, the present one with each look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from threading import Lock
from typing import Final

from jobistemer.store.database import Database
from jobistemer.store.keys import DAY_MS
from jobistemer.store.reads.metrics import read_day_counts

DAYS: Final = 31
"""How many days are counted, the present one included: as many as are kept."""


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
                days = read_day_counts(shards, today - DAYS + 1, today - 1)
                self._before, self._day = sum((counts for _, counts in days), Counter()), today
            return self._before + sum((counts for _, counts in read_day_counts(shards, today, today)), Counter())


def count_states(counts: Counter[str], queue: str, task: str) -> Counter[str]:
    """Count by state the runs of a queue (empty for all) whose tasks contain a text, whatever its case."""
    found: Counter[str] = Counter()
    for field, number in counts.items():
        state, _, of = field.partition(" ")
        its_queue, _, its_task = of.partition(" ")
        if queue in {"", its_queue} and task.casefold() in its_task.casefold():
            found[state] += number
    return found
