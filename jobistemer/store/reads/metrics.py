"""Gauges of a whole namespace: what waits, since when, what is dead. Their cost has a bound, whatever there is."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from threading import Lock
from typing import Any, NamedTuple

from jobistemer.core.errors import JobistemerError
from jobistemer.core.reads.metrics import Measure, gauge, gauges
from jobistemer.store.database import Command, Database
from jobistemer.store.keys import GROUP, split_place
from jobistemer.store.namespace import Namespace

log = logging.getLogger("jobistemer")

CACHE_S = 5.0
"""Who asks more often is told the same again."""
MAX_STREAMS = 1_000
"""So many streams of a shard are looked at; the first in the order of their names."""
_SETS = ("delayed", "dead", "workers", "tickers")


class _StreamDepth(NamedTuple):
    queue: str
    waiting: int
    in_flight: int
    oldest_s: float


class Gauges:
    """Looks when it is asked: four round trips for each shard."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._cached: list[Measure] = []
        self._cached_until = 0.0
        self._last_error = ""
        self._lock = Lock()

    def measures(self) -> list[Measure]:
        """What there is at this moment, or was a few seconds ago; while the server is away, only that it is."""
        with self._lock:
            if time.monotonic() >= self._cached_until:
                self._cached = self._read()
                self._cached_until = time.monotonic() + CACHE_S
            return self._cached

    def _read(self) -> list[Measure]:
        try:
            shards = self._namespace.shards
            streams = [stream for database in shards for stream in _read_streams(database)]
            counts = [_read_counts(database) for database in shards]
        except JobistemerError as error:
            if str(error) != self._last_error:
                self._last_error = str(error)
                log.warning("the gauges of the cluster are left out: %s", error)
            return [_up_gauge(0)]
        self._last_error = ""
        return [_up_gauge(1), *_queue_gauges(streams), *_namespace_gauges(counts)]


def _up_gauge(value: int) -> Measure:
    return gauge("cluster_up", "Whether the server has answered (1); else what it would say is left out.", value)


def _queue_gauges(streams: list[_StreamDepth]) -> list[Measure]:
    waiting: defaultdict[str, int] = defaultdict(int)
    in_flight: defaultdict[str, int] = defaultdict(int)
    oldest: defaultdict[str, float] = defaultdict(float)
    for each in streams:
        waiting[each.queue] += each.waiting
        in_flight[each.queue] += each.in_flight
        oldest[each.queue] = max(oldest[each.queue], each.oldest_s)
    return [
        gauges("queue_waiting", "Runs that wait in a queue for a worker.", "queue", waiting.items()),
        gauges("queue_in_flight", "Runs that a worker has taken and not ended.", "queue", in_flight.items()),
        gauges("queue_oldest_waiting_seconds", "How long the first of those that wait has waited, 0 when none does.",
               "queue", oldest.items()),
    ]  # fmt: skip


def _namespace_gauges(counts: list[list[int]]) -> list[Measure]:
    delayed, dead, workers, tickers = (sum(of_shards) for of_shards in zip(*counts, strict=True))
    most = max(len(counts), 1)
    return [
        gauge("delayed_runs", "Runs that wait for their time, or for their next attempt.", delayed),
        gauge("dead_runs", "Runs among the dead letters.", dead),
        # Each of them is in every shard.
        gauge("workers", "Workers that beat, or have stopped and are not forgotten yet.", workers / most),
        gauge("tickers", "Tickers that have beaten within the last minute.", tickers / most),
    ]


def _read_counts(database: Database) -> list[int]:
    answers: list[int] = database.ask_all([("ZCARD", getattr(database.keys, name)) for name in _SETS])
    return answers


def _read_streams(database: Database) -> list[_StreamDepth]:
    places = sorted(each.decode() for each in database.ask("SMEMBERS", database.keys.streams))[:MAX_STREAMS]
    if not places:
        return []
    keys = [database.keys.stream(where) for where in places]
    answers = database.ask_all([command for key in keys for command in (("XLEN", key), ("XPENDING", key, GROUP))])
    pending = answers[1::2]
    firsts = database.ask_all([_first_waiting_command(key, each) for key, each in zip(keys, pending, strict=True)])
    now_ms = database.clock.now_ms()
    return [
        _StreamDepth(split_place(where)[0], max(0, length - summary[0]), summary[0], _age_s(first, now_ms))
        for where, length, summary, first in zip(places, answers[::2], pending, firsts, strict=True)
    ]


def _first_waiting_command(key: str, pending: Sequence[Any]) -> Command:
    # Entries are taken in order and deleted when they end: behind the last that is in flight, all wait.
    last = pending[2]
    return ("XRANGE", key, "-" if last is None else f"({last.decode()}", "+", "COUNT", 1)


def _age_s(first: list[tuple[bytes, object]], now_ms: int) -> float:
    return max(0, now_ms - int(first[0][0].partition(b"-")[0])) / 1000 if first else 0.0
