"""Read the numbers of a namespace, of a queue or of a task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from jobistemer.core.reads.stats import Stats, count_states, is_of
from jobistemer.store.database import Database
from jobistemer.store.keys import DAY_MS, split_place
from jobistemer.store.reads.entries import list_entries
from jobistemer.store.reads.jobs import count_delayed, list_delayed, list_limited
from jobistemer.store.reads.metrics import COUNTED_DAYS, read_day_counts
from jobistemer.store.reads.queues import is_present, list_queues, list_workers

MAX_READ: Final = 10_000
"""How many runs that wait are looked at, where those of one task are counted."""


class _Waiting(NamedTuple):
    pending: int
    delayed: int
    exact: bool


def read_stats(shards: Sequence[Database], queue: str = "", task: str = "", since_ms: int = 0) -> Stats:
    """Return the numbers of all runs, or of those of a queue, a task or both.

    since_ms: ends are counted from the beginning of its day (UTC) on; 0 for all days that are kept.
    """
    now_ms = shards[0].clock.now_ms()
    running = _count_running(shards, queue, task, now_ms)
    waiting = _count_of_task(shards, queue, task) if task else _count_all(shards, queue)
    first = max(since_ms // DAY_MS, now_ms // DAY_MS - COUNTED_DAYS + 1)
    counted = range(first, now_ms // DAY_MS + 1)
    days = {day: ended for day, ended in read_day_counts(shards, counted) if ended}
    ended = sum((count_states(counts, queue, task) for counts in days.values()), Counter())
    start = first if since_ms else min(days, default=now_ms // DAY_MS)
    return Stats(
        pending=max(0, waiting.pending - running),
        running=running,
        delayed=waiting.delayed,
        ended=dict(sorted(ended.items())),
        since=datetime.fromtimestamp(start * DAY_MS / 1000, UTC),
        exact=waiting.exact,
    )


def _count_running(shards: Sequence[Database], queue: str, task: str, now_ms: int) -> int:
    present = (each for each in list_workers(shards) if is_present(each, now_ms))
    return sum(count for each in present for of, count in each.running.items() if is_of(of, queue, task))


def _count_all(shards: Sequence[Database], queue: str) -> _Waiting:
    queues = [each for each in list_queues(shards) if queue in {"", each.name}]
    pending = sum(each.all_waiting + each.in_flight for each in queues)
    total = count_delayed(shards)
    if not queue:
        return _Waiting(pending, total, exact=True)
    return _Waiting(pending, sum(each.delayed for each in queues), exact=total <= MAX_READ)


def _count_of_task(shards: Sequence[Database], queue: str, task: str) -> _Waiting:
    on_streams = list_entries(shards, queue, limit=MAX_READ)
    limited, delayed = list_limited(shards, MAX_READ), list_delayed(shards, MAX_READ)
    places = [(each.handler, each.place) for each in on_streams] + [(each.handler, each.place) for each in limited]
    there = sum(each.waiting + each.in_flight for each in list_queues(shards) if queue in {"", each.name})
    return _Waiting(
        _count(places, queue, task),
        _count([(each.handler, each.place) for each in delayed], queue, task),
        exact=len(on_streams) >= there and max(len(limited), len(delayed)) < MAX_READ,
    )


def _count(places: Iterable[tuple[str, str]], queue: str, task: str) -> int:
    return sum(handler == task and queue in {"", split_place(place)[0]} for handler, place in places)
