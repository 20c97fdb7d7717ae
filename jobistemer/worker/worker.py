"""One worker process: its threads, from the first beat to the last commit."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from jobistemer.core.errors import NotConnected, ServerRefused, WornOut
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.handlers.hooks import Plugins
from jobistemer.core.reads.metrics import Measure
from jobistemer.core.settings import WorkerSettings
from jobistemer.core.states import AttemptState
from jobistemer.runtime.liveness import Vitals
from jobistemer.runtime.process_info import process_identity
from jobistemer.runtime.repeat import Repeat, repeat, start_thread, until_done
from jobistemer.runtime.shutdown import Stopping
from jobistemer.store.calls import heartbeats
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.worker.attempts.attempt import Flight, Flights
from jobistemer.worker.attempts.definition_cache import Definitions
from jobistemer.worker.attempts.metrics import Tallies
from jobistemer.worker.attempts.prefetch import Room
from jobistemer.worker.attempts.watchdog import Watch
from jobistemer.worker.commit.committer import Committer
from jobistemer.worker.commit.committer_threads import Committers
from jobistemer.worker.commit.finished import Outbox
from jobistemer.worker.commit.hook_notifier import Herald
from jobistemer.worker.execute.context_tools import Desk, Support
from jobistemer.worker.execute.default_reducer import GATHER
from jobistemer.worker.execute.middleware import equipped
from jobistemer.worker.fetch.dispatcher import Intake
from jobistemer.worker.fetch.queue_order import Order
from jobistemer.worker.lease.beat import Beater
from jobistemer.worker.lease.reclaim import COMING_BACK_S, Reclaimer
from jobistemer.worker.lease.worker_metrics import measures_of
from jobistemer.worker.recycling import Recycler
from jobistemer.worker.slots.slots import Slots, check_processes

POLL_S = 0.05
LAST_WORDS_S = 5.0
"""What hooks may take at the end to be told what has happened."""
LEAVE_S = 3.0
"""How long a thread may take to end that has nothing more to do: a read that cannot be cut short takes two seconds."""

Kept = tuple[Repeat, Callable[[], float | None], str]
"""What a thread repeats, how, and what it is called."""

log = logging.getLogger("jobistemer.worker")


class Worker:
    """Executes the runs of some queues with the handlers of an app."""

    def __init__(
        self,
        namespace: Namespace,
        handlers: Mapping[str, Handler],
        settings: WorkerSettings,
        plugins: Plugins | None = None,
        tallies: Tallies | None = None,
    ) -> None:
        check_processes(handlers, settings.app)
        plugins = plugins or Plugins()
        self._namespace = namespace
        self._handlers = {GATHER.name: GATHER, **equipped(handlers, plugins)}
        self._settings = settings
        self.id = process_identity()
        self._support = Support(settings.permissions, plugins.prepare)
        self._flights = Flights(settings.lease_s, partial(Desk, support=self._support))
        self._room = Room(settings.concurrency)
        self._order = Order(settings.queues)
        self._definitions = Definitions()
        self._herald = Herald(plugins.hooks) if plugins.hooks.told_of_ends else None
        self._tallies = tallies
        self._committers = Committers(self._committer)
        self._slots: Slots | None = None
        self._beaters: dict[Database, Beater] = {}
        self._stopping = Stopping()
        self.vitals = Vitals()
        self._watch = Watch(self._flights, self._report, self._withdraw)
        # Beats, commits and the watch go on while runs in flight finish, so they end after the fetching.
        self._ended = threading.Event()

    def run(self, stopping: Stopping) -> None:
        """Work until `stopping` is requested, then let runs in flight finish within the grace period.

        Raises WornOut when it ended because too many of its threads never did.
        """
        self._stopping = stopping
        if until_done(self._open, stopping.requested, f"worker {self.id}"):
            self._work(stopping)
        log.info("worker %s stopped", self.id)

    def counts(self) -> dict[str, Any]:
        """What it has done so far."""
        counts = self._committers.counts
        failed = counts[AttemptState.FAILED] + counts[AttemptState.TIMED_OUT]
        waiting = {"in_flight": self._room.in_flight, "rate": round(self._room.rate), "leaked": self._leaked()}
        return {"done": self._committers.done, "failed": failed, "stale": counts["stale"], **waiting}

    def ready(self) -> list[str]:
        """Why nobody should rely on this worker; empty when it is ready."""
        if not self._beaters:
            return ["it has not reached its server yet"]
        found = [beater.silence() for beater in self._beaters.values()]
        if self._stopping.requested.is_set():
            found.append("it ends: it takes no new work")
        elif self._stopping.quiet.is_set():
            found.append("it is quiet: it takes no new work until it is told to go on")
        return [reason for reason in found if reason]

    def measures(self) -> list[Measure]:
        """What it has to tell in numbers; what its attempts came to only when it was given tallies."""
        counted = self._tallies.measures() if self._tallies else []
        return [*counted, *measures_of(self.counts(), self._settings, self._beaters)]

    def _leaked(self) -> int:
        return self._slots.leaked() if self._slots else 0

    def _report(self, flight: Flight) -> None:
        (self._slots or self._committers).report(flight)

    def _withdraw(self, runs: Collection[str]) -> None:
        for flight in self._slots.withdraw(runs) if self._slots else ():
            self._flights.begin(flight, lambda: None)
            if self._flights.end(flight, self._flights.canceled(flight)):
                # Not by way of the slots, which have never had it.
                self._committers.report(flight)

    def _open(self) -> None:
        self._committers.open(self._namespace.shards)

    def _work(self, stopping: Stopping) -> None:
        beaters = self._beaters = {each: self._beater(each, stopping) for each in self._namespace.shards}
        room = f"{self._settings.concurrency} slots, queues {', '.join(self._settings.queues)}"
        log.info("worker %s started: %s, %s", self.id, room, self._namespace)
        report, shards = self._committers.report, len(beaters)
        self._slots = slots = Slots(self._handlers, self._settings, self._flights, report, shards=shards)
        recycler = Recycler(self._settings, lambda: self._committers.done, self._leaked, stopping)
        keeping = self._keep(beaters.values(), recycler, slots)
        begun = {database: beater.begun for database, beater in beaters.items()}
        intake = Intake(
            *(begun, self.id, self._handlers, self._order, self._room, self._flights, slots, stopping, self.vitals),
        )
        intake.start(burst=self._settings.burst)
        stopping.wait()
        self._drain(intake, stopping)
        self._ended.set()
        self._leave(beaters, intake.threads + keeping)
        if recycler.failing:
            raise WornOut(f"worker {self.id} has ended: too many of its threads were stopped and never ended")

    def _committer(self, helped: Outbox | None) -> Committer:
        tally = self._tallies.new() if self._tallies else None
        return Committer(self._room, self._definitions, self._herald, tally, helped)

    def _beater(self, database: Database, stopping: Stopping) -> Beater:
        patience_s = self._settings.beat_s + COMING_BACK_S
        tally = self._tallies.new() if self._tallies else None
        reclaimer = Reclaimer(database, patience_s, self._definitions, self._herald, tally)
        return Beater(
            *(database, self.id, self._settings, self._order, self._flights, self._watch, reclaimer),
            counts=self.counts,
            stopping=stopping,
        )

    def _keep(self, beaters: Collection[Beater], recycler: Recycler, slots: Slots) -> list[threading.Thread]:
        """Start the threads that go on until nothing is in flight any more."""

        def watch() -> float:
            self._room.held_up = slots.look(self._flights.running())
            return self._watch.step()

        steps: list[tuple[Callable[[], float | None], str]] = [(beater.step, "beat") for beater in beaters]
        steps += [(step, "commit") for step in self._committers.steps()]
        steps += [(recycler.step, "recycle"), (watch, "watch")]
        steps += [(self._support.journal.step, "journal")]
        # What the herald waits for is the application's: a hook that hangs does not make this worker a stuck one.
        told: list[Kept] = [] if self._herald is None else [(repeat, self._herald.step, "herald")]
        kept: list[Kept] = [*((self.vitals.repeat, step, name) for step, name in steps), *told]
        return [
            start_thread(partial(repeating, step, self._ended, f"worker {self.id} {name}"), name)
            for repeating, step, name in kept
        ]

    def _drain(self, intake: Intake, stopping: Stopping) -> None:
        """Hand back what was not started, then wait for the rest, as long as the grace period allows."""
        self._support.leaving.set()
        deadline = time.monotonic() + self._settings.grace_s
        intake.hand_back()
        while intake.goes_on() or self._room.in_flight:
            if time.monotonic() >= deadline or stopping.immediate.is_set():
                left = self._room.in_flight
                log.warning("worker %s leaves %d runs in flight; their lease brings them back", self.id, left)
                return
            self._room.wait(POLL_S)
            # A read that was under way when the end was asked for may have taken more.
            intake.hand_back()

    def _leave(self, beaters: dict[Database, Beater], threads: list[threading.Thread]) -> None:
        self._committers.end()
        self._support.journal.end()
        if self._herald is not None:
            self._herald.finish(time.monotonic() + LAST_WORDS_S)
        if self._slots is not None:
            self._slots.end()
        for thread in threads:
            thread.join(LEAVE_S)
        if any(thread.is_alive() for thread in threads):
            # A read that is still under way may be handed an entry: forgotten, this worker would keep it for ever.
            log.warning("worker %s could not leave in order, its lease does", self.id)
            return
        for database, beater in beaters.items():
            try:
                heartbeats.forget_worker(database, self.id, beater.last_beat_ms, self._order.known())
            except (NotConnected, ServerRefused) as error:
                log.warning("worker %s could not leave in order, its lease does: %s", self.id, error)
