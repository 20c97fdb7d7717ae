"""Gauges of a whole namespace: what waits and since when, what is dead. The cost of a reading has an upper bound."""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Final, NamedTuple

from jobistemer.core.errors import JobistemerError
from jobistemer.core.reads.metrics import Measure, gauge, gauges
from jobistemer.core.unreadable import to_text
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.store.reading import read_number
from jobistemer.store.reads.stream_stats import (
    MAX_STREAMS,
    StreamStats,
    list_places,
    read_oldest_waiting,
    read_stream_stats,
)

log = logging.getLogger("jobistemer")

CACHE_S: Final = 5.0
"""How long (seconds) a reading is answered again, so that many scrapers cost no more than one."""
COUNTED_DAYS: Final = 31
"""How many days of ends are read, the present one included: as many as are kept."""
_COUNTED_SETS: Final = ("delayed", "dead", "workers", "tickers")


class _ShardReading(NamedTuple):
    """One shard at one moment.

    oldest_s: for how many seconds the first waiting entry of each place has waited. counts: members of _COUNTED_SETS.
    """

    streams: list[StreamStats]
    oldest_s: dict[str, float]
    counts: list[int]


class Gauges:
    """Reads the gauges when asked, in at most four round trips for each shard."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._cached: list[Measure] = []
        self._cached_until = 0.0
        self._last_error = ""
        self._lock = Lock()

    def measures(self) -> list[Measure]:
        """Return the gauges, at most CACHE_S seconds old; while no server answers, only the gauge that says so."""
        with self._lock:
            if time.monotonic() >= self._cached_until:
                self._cached = self._read()
                self._cached_until = time.monotonic() + CACHE_S
            return self._cached

    def _read(self) -> list[Measure]:
        try:
            shards = [_read_shard(database) for database in self._namespace.shards]
        except JobistemerError as error:
            # A scraper asks every few seconds: the same error is logged once, not once for each scrape.
            if str(error) != self._last_error:
                self._last_error = str(error)
                log.warning("the gauges of the cluster are left out: %s", error)
            return [_up_gauge(0)]
        self._last_error = ""
        return [_up_gauge(1), *_queue_gauges(shards), *_namespace_gauges(shards)]


def _up_gauge(value: int) -> Measure:
    return gauge("cluster_up", "Whether the server answered (1); if not, the other gauges are left out.", value)


def _queue_gauges(shards: list[_ShardReading]) -> list[Measure]:
    waiting: defaultdict[str, int] = defaultdict(int)
    in_flight: defaultdict[str, int] = defaultdict(int)
    oldest: defaultdict[str, float] = defaultdict(float)
    for shard in shards:
        for each in shard.streams:
            waiting[each.queue] += each.waiting
            in_flight[each.queue] += each.in_flight
            oldest[each.queue] = max(oldest[each.queue], shard.oldest_s.get(each.place, 0.0))
    oldest_help = "How long the first waiting run of a queue has waited; 0 when none waits."
    return [
        gauges("queue_waiting", "Runs that wait in a queue for a worker.", "queue", waiting.items()),
        gauges("queue_in_flight", "Runs that a worker has taken and not ended.", "queue", in_flight.items()),
        gauges("queue_oldest_waiting_seconds", oldest_help, "queue", oldest.items()),
    ]


def _namespace_gauges(shards: list[_ShardReading]) -> list[Measure]:
    delayed, dead, workers, tickers = (sum(of_shards) for of_shards in zip(*(s.counts for s in shards), strict=True))
    return [
        gauge("delayed_runs", "Runs that wait for their time, or for their next attempt.", delayed),
        gauge("dead_runs", "Runs among the dead letters.", dead),
        # A worker or a ticker is listed in every shard, so these counts are averaged.
        gauge("workers", "Workers that beat, or have stopped and are not forgotten yet.", workers / len(shards)),
        gauge("tickers", "Tickers that have beaten within the last minute.", tickers / len(shards)),
    ]


def _read_shard(database: Database) -> _ShardReading:
    streams = read_stream_stats(database, list_places(database)[:MAX_STREAMS])
    oldest_at = read_oldest_waiting(database, streams)
    now_ms = database.clock.now_ms()
    counts = database.read_all([("ZCARD", getattr(database.keys, name)) for name in _COUNTED_SETS])
    return _ShardReading(streams, {place: max(0, now_ms - at) / 1000 for place, at in oldest_at.items()}, counts)


def read_day_counts(shards: Sequence[Database], days: Sequence[int]) -> Iterator[tuple[int, Counter[str]]]:
    """Yield for each of several days (since 1970, UTC) how many runs ended on it, by `<state> <queue> <task>`."""
    read = [database.read_all([("HGETALL", database.keys.outcomes(day)) for day in days]) for database in shards]
    for day, of_shards in zip(days, zip(*read, strict=True), strict=True):
        counts: Counter[str] = Counter()
        for answer in of_shards:
            counts += Counter({to_text(field): read_number(number) for field, number in answer.items()})
        yield day, counts
