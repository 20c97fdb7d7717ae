"""The metrics of a worker as such; those of its attempts are in `worker.attempts.metrics`."""

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
    """Return the metrics of a worker's state. counts: as it publishes them with its beats."""
    silent = [beater.silent_s for beater in beaters.values() if beater.silent_s is not None]
    refused = "Outcomes refused because another worker had taken the run over."
    yield Measure("counter", "refused_commits", refused, (), [((), counts["stale"])])
    yield gauge("worker_slots", "Runs that the worker executes at a time.", settings.concurrency)
    yield gauge("worker_in_flight", "Runs that the worker has taken and not ended.", counts["in_flight"])
    yield gauge("worker_leaked", "Threads and coroutines of stopped attempts that have not ended.", counts["leaked"])
    ahead_ms = offset_ms(each.clock for each in beaters)
    yield gauge("clock_offset_seconds", "Seconds by which the server's time is ahead of this machine.", ahead_ms / 1000)
    if silent:
        yield gauge("last_beat_age_seconds", "Seconds since the last beat; the longest of all shards.", max(silent))
