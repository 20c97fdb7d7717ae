"""One worker process: its threads, from the first beat to the last commit."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.core.handlers import Handler
from jobistemer.core.options import DEFAULT_PRIORITY
from jobistemer.core.plugins import Plugins
from jobistemer.core.settings import WorkerSettings
from jobistemer.core.states import AttemptState
from jobistemer.runtime.identity import process_identity
from jobistemer.runtime.repeating import repeat, start_thread, until_done
from jobistemer.runtime.stopping import Stopping
from jobistemer.store import members, queues, runs
from jobistemer.store.database import Database
from jobistemer.store.keys import place
from jobistemer.store.namespace import Namespace
from jobistemer.worker.beat import Beater
from jobistemer.worker.commit import Committer
from jobistemer.worker.definitions import Definitions
from jobistemer.worker.desk import Desk, Support
from jobistemer.worker.equip import equipped
from jobistemer.worker.fetch import Fetcher, Order
from jobistemer.worker.flight import Flight, Flights
from jobistemer.worker.herald import Herald
from jobistemer.worker.inbox import Room
from jobistemer.worker.reclaim import Reclaimer
from jobistemer.worker.slots import LoopSlots, ThreadSlots
from jobistemer.worker.watch import Watch

POLL_S = 0.05
LAST_WORDS_S = 5.0
"""What hooks may take at the end to be told what has happened."""

log = logging.getLogger("jobistemer.worker")


class Worker:
    """Executes the runs of some queues with the handlers of an app."""

    def __init__(
        self,
        namespace: Namespace,
        handlers: Mapping[str, Handler],
        settings: WorkerSettings,
        plugins: Plugins | None = None,
    ) -> None:
        plugins = plugins or Plugins()
        self._namespace = namespace
        self._handlers = equipped(handlers, plugins)
        self._settings = settings
        self.id = process_identity()
        self._support = Support(settings.permissions, plugins.prepare)
        self._flights = Flights(partial(Desk, support=self._support))
        self._room = Room(settings.concurrency)
        self._order = Order(settings.queues)
        self._definitions = Definitions()
        self._herald = Herald(plugins.hooks) if plugins.hooks.told_of_ends else None
        self._committer = Committer(self.id, self._room, self._definitions, self._herald)
        self._watch = Watch(self._flights, self._committer.report)
        self._late: list[Flight] = []
        self._threads: ThreadSlots | None = None
        self._loop: LoopSlots | None = None
        # Beats, commits and the watch go on while runs in flight finish, so they end after the fetching.
        self._ended = threading.Event()

    def run(self, stopping: Stopping) -> None:
        """Work until `stopping` is requested, then let runs in flight finish within the grace period."""
        if until_done(self._open, stopping.requested, f"worker {self.id}"):
            self._work(stopping)
        log.info("worker %s stopped", self.id)

    def counts(self) -> dict[str, Any]:
        """What it has done so far."""
        counts = self._committer.counts
        failed = counts[AttemptState.FAILED] + counts[AttemptState.TIMED_OUT]
        done = sum(counts[state] for state in AttemptState)
        waiting = {"in_flight": self._room.in_flight, "rate": round(self._room.rate)}
        return {"done": done, "failed": failed, "stale": counts["stale"], **waiting}

    def _open(self) -> None:
        for database in self._namespace.shards:
            queues.open_streams(database, [place(queue, DEFAULT_PRIORITY) for queue in self._settings.queues])

    def _work(self, stopping: Stopping) -> None:
        shards, settings = self._namespace.shards, self._settings
        log.info(
            "worker %s started: %d slots, queues %s",
            self.id,
            settings.concurrency,
            ", ".join(settings.queues),
        )
        self._start_slots()
        beaters = [self._beater(database, stopping) for database in shards]
        for step, name in [
            (self._committer.step, "commit"),
            (self._watch.step, "watch"),
            (self._support.journal.step, "journal"),
        ]:
            self._keep(step, name)
        if self._herald is not None:
            self._keep(self._herald.step, "herald")
        for beater in beaters:
            self._keep(beater.step, "beat")
        self._fetch(shards, stopping)
        try:
            self._drain(shards, stopping)
            self._ended.set()
            self._leave(shards, beaters)
        except (NotConnected, ServerRefused) as error:
            log.warning("worker %s could not leave in order, its lease does: %s", self.id, error)

    def _start_slots(self) -> None:
        settings, report = self._settings, self._committer.report
        if any(not handler.is_coroutine for handler in self._handlers.values()):
            self._threads = ThreadSlots(settings.concurrency, self._flights, report)
        if any(handler.is_coroutine for handler in self._handlers.values()):
            self._loop = LoopSlots(settings.concurrency, self._flights, report)

    def _beater(self, database: Database, stopping: Stopping) -> Beater:
        reclaimer = Reclaimer(database, self._settings.beat_s, self._definitions, self._herald)
        return Beater(
            *(database, self.id, self._settings, self._order, self._flights, self._watch, reclaimer),
            counts=self.counts,
            stopping=stopping,
        )

    def _keep(self, step: Callable[[], float | None], name: str) -> threading.Thread:
        return start_thread(lambda: repeat(step, self._ended, f"worker {self.id} {name}"), name)

    def _fetch(self, shards: list[Database], stopping: Stopping) -> None:
        def fetching(database: Database) -> threading.Thread:
            dispatch = partial(self._dispatch, stopping)
            fetcher = Fetcher(database, self.id, self._order, self._room, self._handlers, dispatch)
            step = partial(self._fetch_step, fetcher, stopping)
            return start_thread(lambda: repeat(step, stopping.requested, f"worker {self.id} fetch"), "fetch")

        for thread in [fetching(database) for database in shards]:
            thread.join()

    def _fetch_step(self, fetcher: Fetcher, stopping: Stopping) -> float | None:
        if stopping.quiet.is_set():
            return POLL_S
        fetcher.step(block=not self._settings.burst)
        if self._settings.burst and fetcher.ran_dry and not self._room.in_flight:
            stopping.request()
        return None

    def _dispatch(self, stopping: Stopping, flights: list[Flight]) -> None:
        if stopping.requested.is_set():
            # Taken by a read that was under way when the end was asked for.
            self._late.extend(flights)
            return
        plain = [flight for flight in flights if not flight.handler.is_coroutine]
        if plain and self._threads is not None:
            self._threads.put(plain)
        if len(plain) < len(flights) and self._loop is not None:
            self._loop.put([flight for flight in flights if flight.handler.is_coroutine])

    def _drain(self, shards: list[Database], stopping: Stopping) -> None:
        """Hand back what was not started, then wait for the rest, as long as the grace period allows."""
        self._support.leaving.set()
        waiting = [flight for slots in (self._threads, self._loop) if slots is not None for flight in slots.take_back()]
        for database in shards:
            mine = [flight for flight in waiting if flight.database is database]
            now_ms = database.clock.now_ms()
            for start in range(0, len(mine), 200):
                part = mine[start : start + 200]
                database.call_all([runs.hand_back(database.keys, flight.delivery, now_ms) for flight in part])
                self._room.taken -= len(part)
        deadline = time.monotonic() + self._settings.grace_s
        while self._room.in_flight and time.monotonic() < deadline and not stopping.immediate.is_set():
            self._room.wait(POLL_S)
        if self._room.in_flight:
            log.warning(
                "worker %s leaves %d runs in flight; their lease brings them back",
                self.id,
                self._room.in_flight,
            )

    def _leave(self, shards: list[Database], beaters: list[Beater]) -> None:
        if self._herald is not None:
            self._herald.finish(time.monotonic() + LAST_WORDS_S)
        for slots in (self._threads, self._loop):
            if slots is not None:
                slots.end()
        for database, beater in zip(shards, beaters, strict=True):
            places = self._order.known()
            database.call(members.forget_worker(database.keys, self.id, beater.last_beat_ms, places))
