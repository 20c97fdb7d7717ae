"""Beat: keep the lease of this worker, show what is running, and hear what concerns it."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from jobistemer.core.settings import WorkerSettings
from jobistemer.runtime.shutdown import Stopping
from jobistemer.store.calls import groups
from jobistemer.store.calls import heartbeats as members
from jobistemer.store.database import Database
from jobistemer.worker.attempts.attempt import Flights
from jobistemer.worker.attempts.watchdog import Watch
from jobistemer.worker.fetch.queue_order import Order
from jobistemer.worker.lease.reclaim import Reclaimer

HEARD_TWICE_MS = 2_000
LEAST_S = 0.01
SPARE_S = 2.0
"""How much longer than two beats a worker may be silent and still count as ready."""

log = logging.getLogger("jobistemer.worker")


class Beater:
    """One thread for each shard, which nothing else can starve."""

    def __init__(
        self,
        database: Database,
        worker: str,
        settings: WorkerSettings,
        order: Order,
        flights: Flights,
        watch: Watch,
        reclaimer: Reclaimer,
        counts: Callable[[], Mapping[str, Any]],
        stopping: Stopping,
    ) -> None:
        self._database = database
        self._worker = worker
        self._settings = settings
        self._order = order
        self._flights = flights
        self._watch = watch
        self._reclaimer = reclaimer
        self._counts = counts
        self._stopping = stopping
        self._late_s = 2 * settings.beat_s + SPARE_S
        self._heard_until = database.clock.now_ms()
        self._status = {"host": socket.gethostname(), "pid": os.getpid(), "started_at": self._heard_until}
        self.last_beat_ms = 0
        self._beaten_at: float | None = None
        self.begun = threading.Event()

    def step(self) -> float:
        """Beat once; the seconds until the next beat."""
        began, database, settings = time.monotonic(), self._database, self._settings
        now_ms = database.clock.now_ms()
        lease_ms = round(settings.lease_s * 1000)
        call = members.beat_worker(
            database.keys, self._worker, now_ms, lease_ms, self._heard_until, self._encoded_status()
        )
        pulse = members.read_pulse(database.call(call))
        # What was asked for while this beat was under way is heard with the next one as well.
        self._heard_until = now_ms - HEARD_TWICE_MS
        database.clock.correct(pulse.server_ms)
        self.last_beat_ms, self._beaten_at = now_ms, time.monotonic()
        self.begun.set()
        self._flights.beaten(database)
        self._order.paused, self._order.on_hold = pulse.paused, pulse.holds
        if pulse.cancels:
            self._watch.cancel(dict.fromkeys(pulse.cancels, ""))
        self._cancel_halted()
        self._obey(pulse.command)
        self._show_long_ones()
        others = {name: beat for name, beat in pulse.suspects.items() if name != self._worker}
        self._reclaimer.observe(others, pulse.places, until=began + settings.beat_s)
        # From beat to beat: what was asked for must be heard within a second, whatever else a beat has found to do.
        return max(LEAST_S, settings.beat_s - (time.monotonic() - began))

    def silence(self) -> str:
        """Why this worker is not heard; empty while it is."""
        silent = self.silent_s
        if silent is None:
            return "it has not beaten yet; is the server there?"
        return f"it has not beaten for {silent:.1f} s; is the server there?" if silent > self._late_s else ""

    @property
    def silent_s(self) -> float | None:
        """How long ago the server has heard it; None before the first time."""
        return None if self._beaten_at is None else time.monotonic() - self._beaten_at

    def _show_long_ones(self) -> None:
        now = time.monotonic()
        long_ones = [
            each for each in self._flights.running() if not each.shown and now - each.started > self._settings.beat_s
        ]
        mine = [each for each in long_ones if each.database is self._database]
        for start in range(0, len(mine), 100):
            part = mine[start : start + 100]
            self._database.call_all([flight.showing() for flight in part])
            for flight in part:
                flight.shown = True

    def _cancel_halted(self) -> None:
        messages = [each.delivery.message for each in self._flights.running() if each.database is self._database]
        members = [message for message in messages if message.member is not None]
        if members:
            self._watch.cancel(groups.halted(self._database, members))

    def _obey(self, command: str) -> None:
        if command == "quiet" and not self._stopping.quiet.is_set():
            log.info("worker %s was told to take no new work", self._worker)
            self._stopping.quiet.set()
        if command == "stop" and not self._stopping.requested.is_set():
            log.info("worker %s was told to stop", self._worker)
            self._stopping.request()

    def _encoded_status(self) -> bytes:
        settings = self._settings
        fixed = {"queues": settings.queues, "concurrency": settings.concurrency, "lease_s": settings.lease_s}
        quiet = self._stopping.quiet.is_set() or self._stopping.requested.is_set()
        return msgspec.json.encode({**self._status, **fixed, "quiet": quiet, **self._counts()})
