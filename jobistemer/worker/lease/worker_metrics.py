"""What a worker has to tell in numbers, beside what its attempts came to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jobistemer.core.reads.metrics import Measure, gauge
from jobistemer.core.settings import WorkerSettings
from jobistemer.store.clock import offset_ms
from jobistemer.store.database import Database
from jobistemer.worker.lease.beat import Beater


def build_measures(
    counts: Mapping[str, Any], settings: WorkerSettings, beaters: Mapping[Database, Beater]
) -> Iterable[Measure]:
    """The state of a worker. counts: those that it shows with its beats."""
    silent = [beater.silent_s for beater in beaters.values() if beater.silent_s is not None]
    yield Measure("counter", "refused_commits", "Outcomes that came after others had taken the run over.", (),
                  [((), counts["stale"])])  # fmt: skip
    yield gauge("worker_slots", "How many runs it runs at a time.", settings.concurrency)
    yield gauge("worker_in_flight", "Runs that it has taken and not ended.", counts["in_flight"])
    yield gauge("worker_leaked", "Threads and coroutines of stopped attempts that have not ended.", counts["leaked"])
    ahead_ms = offset_ms(each.clock for each in beaters)
    yield gauge("clock_offset_seconds", "How far server time is ahead of this machine.", ahead_ms / 1000)
    if silent:
        yield gauge("last_beat_age_seconds", "How long ago it was heard; the longest of all shards.", max(silent))
