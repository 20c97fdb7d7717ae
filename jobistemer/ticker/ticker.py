"""The ticker of a process: a thread for each shard of the namespace."""

from __future__ import annotations

import logging
import math
import time
from functools import partial

from jobistemer.core.errors import ServerRefused
from jobistemer.core.planning.clock_jumps import JumpPolicy
from jobistemer.core.reads.metrics import Measure
from jobistemer.core.settings import TickerSettings
from jobistemer.runtime.liveness import Liveness
from jobistemer.runtime.process_info import process_identity
from jobistemer.runtime.repeat import retry_apart, start_thread
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.store.clock import ServerClock
from jobistemer.store.continuity import Continuity
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace, confirm_shards
from jobistemer.ticker.metrics import TickerMetrics, read_gauges
from jobistemer.ticker.shard_ticker import ShardTicker

JOIN_S = 0.5
LEAVE_S = 3.0
"""Seconds that a pass which is under way may take to end when the ticker is asked to stop."""

log = logging.getLogger("jobistemer.ticker")


class Ticker:
    """One ticker process: a thread for each shard."""

    def __init__(self, namespace: Namespace, settings: TickerSettings, metrics: TickerMetrics | None = None) -> None:
        self._metrics = metrics
        self._namespace = namespace
        self._settings = settings
        self.id = process_identity()
        self._waits_for = ""
        self._continuity = Continuity(namespace)
        self._tickers: list[ShardTicker] = []
        self._shutdown = Shutdown()
        self.liveness = Liveness()

    def run(self, shutdown: Shutdown) -> None:
        """Tick until `shutdown` is requested. A lost connection is waited out."""
        self._shutdown = shutdown
        if retry_apart(self._connect, shutdown.requested, f"ticker {self.id}"):
            log.info("ticker %s started: %s", self.id, self._namespace)
            self._run_shards(shutdown)
        log.info("ticker %s stopped", self.id)

    def ready(self) -> list[str]:
        """Return the reasons why this ticker is not ready, shard by shard; empty when it is."""
        if not self._tickers:
            return [self._waits_for or "it has not reached its server yet"]
        if self._shutdown.requested.is_set():
            return ["it ends"]
        if doubt := self._continuity.explain_doubt():
            return [doubt]
        return [reason for each in self._tickers for reason in each.reasons_not_ready()]

    def measures(self) -> list[Measure]:
        """Return the metrics of this ticker; the claimed occurrences are counted only when it was given metrics."""
        counted = self._metrics.measures() if self._metrics else []
        stuck = sum(len(each.unaccounted.jobs) for each in self._tickers)
        return [*counted, *read_gauges(self._namespace.shards if self._tickers else (), stuck)]

    def _connect(self) -> None:
        if not self._namespace.fixes_shards and confirm_shards(self._namespace) is None:
            self._waits_for = f"{self._namespace} is new or was emptied: it waits for the first deploy or enqueue"
            raise ServerRefused(self._waits_for)
        for database in self._namespace.shards:
            if isinstance(database.clock, ServerClock):
                database.clock.jump_policy = JumpPolicy(
                    self._settings.max_jump_s * 1000, self._settings.jump_hold_s * 1000
                )

    def _run_shards(self, shutdown: Shutdown) -> None:
        tickers = self._tickers = [self._build_shard_ticker(database) for database in self._namespace.shards]
        runs = (partial(each.run, shutdown.requested) for each in tickers)
        threads = [start_thread(run, f"shard {number}") for number, run in enumerate(runs)]
        # A pass that waits for a server which does not answer may take long.
        leave_at = math.inf
        conflict = ""
        while (alive := [thread for thread in threads if thread.is_alive()]) and not shutdown.immediate.is_set():
            if shutdown.requested.is_set():
                leave_at = min(leave_at, time.monotonic() + LEAVE_S)
            if time.monotonic() >= leave_at:
                log.warning("ticker %s could not leave in order: the server does not answer", self.id)
                break
            if not conflict and (conflict := self._continuity.conflict):
                log.error("ticker %s ends, so that one with the present number of shards starts: %s", self.id, conflict)
                shutdown.request()
            alive[0].join(JOIN_S)

    def _build_shard_ticker(self, database: Database) -> ShardTicker:
        metrics = self._metrics.add_shard() if self._metrics else None
        return ShardTicker(database, self._settings, self.id, self.liveness, metrics, self._continuity)
