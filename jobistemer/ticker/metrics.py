"""The metrics of a ticker: how many instants it has claimed, and how late. Nothing is counted unless asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add

from jobistemer.core.reads.metrics import Histogram, Measure, gauge
from jobistemer.core.states import OccurrenceState
from jobistemer.store.clock import held_ms, offset_ms
from jobistemer.store.database import Database


class ShardMetrics:
    """The counts of one shard, written by its thread alone: occurrences by state, and how late they fired."""

    def __init__(self) -> None:
        self.claimed: Counter[str] = Counter()
        self.late = Histogram()

    def count_claim(self, state: str, late_ms: int) -> None:
        """Count an instant that this ticker has decided."""
        self.claimed[state] += 1
        if state == OccurrenceState.PENDING:
            self.late.add(max(0, late_ms) / 1000)


class TickerMetrics:
    """The metrics of all shards of a ticker."""

    def __init__(self) -> None:
        self._shards: list[ShardMetrics] = []

    def add_shard(self) -> ShardMetrics:
        """Add the metrics of one shard, for a thread of its own."""
        self._shards.append(ShardMetrics())
        return self._shards[-1]

    def measures(self) -> list[Measure]:
        """Sum up the counts of all shards."""
        claimed = sum((each.claimed for each in self._shards), Counter[str]())
        late = reduce(add, (each.late for each in self._shards), Histogram())
        return [
            Measure(
                "counter",
                "occurrences_claimed",
                "Due instants that it decided, by the state they were given.",
                ("state",),
                [((state,), count) for state, count in claimed.items()],
            ),
            Measure("histogram", "occurrence_lateness_seconds", "How late those were that fired.", (), [((), late)]),
        ]


def read_gauges(shards: Sequence[Database], unaccounted: int) -> Iterable[Measure]:
    """Yield the gauges of a ticker at this moment."""
    clocks = [database.clock for database in shards]
    yield gauge("unaccounted_jobs", "Jobs that are due beyond their grace and of which nothing becomes.", unaccounted)
    yield gauge("clock_offset_seconds", "How far server time is ahead of this machine.", offset_ms(clocks) / 1000)
    yield gauge("clock_held_seconds", "How far the server has leapt and is not believed.", held_ms(clocks) / 1000)
