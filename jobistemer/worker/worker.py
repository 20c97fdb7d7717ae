"""One worker process: its threads, from the first beat to the last commit."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, NamedTuple

from jobistemer.core.errors import NotConnected, ServerRefused, WornOut
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.handlers.hooks import Plugins
from jobistemer.core.reads.metrics import Measure
from jobistemer.core.settings import WorkerSettings
from jobistemer.core.states import AttemptState
from jobistemer.runtime.liveness import Liveness
from jobistemer.runtime.process_info import process_identity
from jobistemer.runtime.repeat import (
    Repeat,
    repeat,
    retry_apart,
    retry_until_done,
    run_within,
    start_thread,
)
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.store.actions import hand_back
from jobistemer.store.calls import heartbeats
from jobistemer.store.continuity import Continuity
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.attempts.definition_cache import DefinitionCache
from jobistemer.worker.attempts.in_flight import Prefetch, RunningAttempts
from jobistemer.worker.attempts.metrics import AttemptMetrics
from jobistemer.worker.attempts.watchdog import Watchdog
from jobistemer.worker.commit.committer import Committer, FinishedQueue
from jobistemer.worker.commit.committer_threads import CommitterThreads
from jobistemer.worker.commit.effects import CommitEffects
from jobistemer.worker.commit.hook_notifier import HookNotifier
from jobistemer.worker.execute.context_tools import ContextTools, create_resources
from jobistemer.worker.execute.default_reducer import DEFAULT_REDUCER
from jobistemer.worker.execute.middleware import apply_middleware
from jobistemer.worker.fetch.dispatcher import Dispatcher
from jobistemer.worker.fetch.fetcher import QueueOrder
from jobistemer.worker.fetch.worker_parts import WorkerParts
from jobistemer.worker.lease.beat import Beater
from jobistemer.worker.lease.reclaim import Reclaimer
from jobistemer.worker.lease.worker_metrics import build_measures
from jobistemer.worker.recycling import Recycler
from jobistemer.worker.slots.process_hooks import ProcessHooks
from jobistemer.worker.slots.slots import Slots, check_processes

DOUBT_BEATS = 3
"""After so many beats that did not come the server is asked before a handler is called: was the run cancelled?"""
POLL_S = 0.05
"""How often a worker that ends looks whether its runs have."""
HOOKS_FLUSH_S = 5.0
"""How long hooks may take at the end for the ends that they have not been called with."""
LEAVE_S = 1.2
"""Seconds after the grace period within which the threads end that have nothing more to do."""
GIVE_BACK_S = 0.4
"""Seconds that the last calls to the server may take when the threads have used up all of LEAVE_S."""

ThreadSpec = tuple[Repeat, Callable[[], float | None], str]
"""How a thread repeats, the step that it repeats, and its name."""

log = logging.getLogger("jobistemer.worker")


class _ConnectedParts(NamedTuple):
    """The parts of a worker that has reached its server: each needs its shards or its slots, so they come at once."""

    committers: CommitterThreads
    slots: Slots
    process_hooks: ProcessHooks
    watchdog: Watchdog
    beaters: dict[Database, Beater]
    dispatcher: Dispatcher


class Worker:
    """Executes the runs of some queues with the handlers of an app."""

    def __init__(
        self,
        namespace: Namespace,
        handlers: Mapping[str, Handler],
        settings: WorkerSettings,
        plugins: Plugins | None = None,
        metrics: AttemptMetrics | None = None,
    ) -> None:
        check_processes(handlers, settings.app)
        plugins = plugins or Plugins()
        self._namespace = namespace
        self._handlers = {DEFAULT_REDUCER.name: DEFAULT_REDUCER, **apply_middleware(handlers, plugins)}
        self._settings = settings
        self._worker_hooks = plugins.worker_hooks
        self.id = process_identity()
        self._resources = create_resources(settings, plugins.prepare)
        doubt_s = min(settings.lease_s, DOUBT_BEATS * settings.beat_s)
        self._attempts = RunningAttempts(doubt_s, partial(ContextTools, resources=self._resources))
        self._prefetch = Prefetch(settings.concurrency, self._attempts.count_long)
        self._queue_order = QueueOrder(settings.queues)
        self._definitions = DefinitionCache()
        self._hook_notifier = HookNotifier(plugins.hooks) if plugins.hooks.has_outcome_hooks else None
        self._resources.notify = self._hook_notifier.notify if self._hook_notifier else None
        self._metrics = metrics
        self._connected: _ConnectedParts | None = None
        self._shutdown = Shutdown()
        self.liveness = Liveness()
        # Beats, commits and the watchdog go on while runs in flight finish, so they end after the fetching.
        self._ended = threading.Event()

    def run(self, shutdown: Shutdown) -> None:
        """Work until `shutdown` is requested, then let runs in flight finish within the grace period.

        Raises WornOut when too many of its threads never ended, StartFailed when a start function of the app failed.
        """
        self._shutdown = shutdown
        if retry_apart(lambda: self._namespace.shards, shutdown.requested, f"worker {self.id}"):
            for shard in self._namespace.shards:
                shard.load_scripts()
            self._work(shutdown)
        log.info("worker %s stopped", self.id)

    def counts(self) -> dict[str, Any]:
        """Return what this worker has done so far, and what it has in flight."""
        connected = self._connected
        counts = connected.committers.counts if connected else Counter[str]()
        failed = counts[AttemptState.FAILED] + counts[AttemptState.TIMED_OUT]
        return {
            "done": sum(counts[state] for state in AttemptState),
            "failed": failed,
            "stale": counts["stale"],
            "in_flight": self._prefetch.in_flight,
            "running": self._attempts.count_by_task(),
            "rate": round(self._prefetch.rate),
            "leaked": connected.slots.count_leaked() if connected else 0,
        }

    def ready(self) -> list[str]:
        """Return the reasons why this worker cannot be relied on; empty when it is ready."""
        if self._connected is None:
            return ["it has not started: it connects to its server, or calls its on_worker_start functions"]
        found = [beater.explain_silence() for beater in self._connected.beaters.values()]
        if self._shutdown.requested.is_set():
            found.append("it ends: it takes no new work")
        elif self._shutdown.quiet.is_set():
            found.append("it is quiet: it takes no new work until a command lets it go on")
        return [reason for reason in found if reason]

    def measures(self) -> list[Measure]:
        """Return this worker's metrics; those of its attempts only when it was given metrics for them."""
        counted = self._metrics.measures() if self._metrics else []
        beaters = self._connected.beaters if self._connected else {}
        return [*counted, *build_measures(self.counts(), self._settings, beaters)]

    def _work(self, shutdown: Shutdown) -> None:
        connected = self._connect(shutdown)
        if not connected.process_hooks.start(shutdown):
            return
        self._connected = connected
        capacity = f"{self._settings.concurrency} slots, queues {', '.join(self._settings.queues)}"
        log.info("worker %s started: %s, %s", self.id, capacity, self._namespace)
        recycler = Recycler(self._settings, lambda: connected.committers.done, connected.slots.count_leaked, shutdown)
        self._prefetch.count_runs_left = recycler.count_runs_left if recycler.limits_runs else None
        background_threads = self._start_threads(connected, recycler)
        connected.dispatcher.start(burst=self._settings.burst)
        shutdown.wait()
        self._drain(connected.dispatcher, shutdown)
        self._leave(connected, connected.dispatcher.threads + background_threads)
        if recycler.failing:
            raise WornOut(f"worker {self.id} has ended: too many of its threads were stopped and never ended")

    def _connect(self, shutdown: Shutdown) -> _ConnectedParts:
        shards, settings = self._namespace.shards, self._settings
        parts = WorkerParts(
            id=self.id,
            settings=settings,
            handlers=self._handlers,
            queue_order=self._queue_order,
            prefetch=self._prefetch,
            attempts=self._attempts,
            shutdown=shutdown,
            liveness=self.liveness,
            continuity=Continuity(self._namespace),
            definitions=self._definitions,
        )
        committers = CommitterThreads(shards, self._create_committer)
        hooks = self._worker_hooks
        slots = Slots(self._handlers, settings, self._attempts, committers.report, len(shards), hooks)

        def end_waiting(runs: Collection[str]) -> None:
            for attempt in slots.withdraw(runs):
                self._attempts.end_unstarted(attempt, self._attempts.canceled_outcome(attempt))
                # Not by way of the slots: none has had it, and none must count it as done.
                committers.report(attempt)

        watchdog = Watchdog(self._attempts, slots.report, end_waiting, settings.cancel_patience_s)
        beaters = {}
        for database in shards:
            reclaimer = Reclaimer(database, settings.beat_s, self._create_effects())
            beaters[database] = Beater(database, parts, watchdog, reclaimer, self.counts, slots.expect_suspects)
        dispatcher = Dispatcher(parts, slots, {database: beater.first_beat for database, beater in beaters.items()})
        return _ConnectedParts(committers, slots, ProcessHooks(hooks, slots.find_loop), watchdog, beaters, dispatcher)

    def _create_committer(self, shared_queue: FinishedQueue | None) -> Committer:
        return Committer(self._prefetch, self._create_effects(), shared_queue)

    def _create_effects(self) -> CommitEffects:
        # Each thread that records ends counts in metrics of its own, so none of them locks.
        metrics = self._metrics.add_thread() if self._metrics else None
        return CommitEffects(self._definitions, self._hook_notifier, metrics)

    def _start_threads(self, connected: _ConnectedParts, recycler: Recycler) -> list[threading.Thread]:
        """Start the threads that go on until nothing is in flight any more."""

        def check_attempts() -> float:
            self._prefetch.blocked = connected.slots.check(self._attempts.running())
            return connected.watchdog.step()

        steps: list[tuple[Callable[[], float | None], str]] = [
            (beater.step, "beat") for beater in connected.beaters.values()
        ]
        steps += [(step, "commit") for step in connected.committers.steps()]
        steps += [(recycler.step, "recycle"), (check_attempts, "watch")]
        steps += [(self._resources.log_shipper.step, "log shipper")]
        # A hook is the application's code: one that hangs must not make this worker count as stuck.
        hook_threads: list[ThreadSpec] = (
            [] if self._hook_notifier is None else [(repeat, self._hook_notifier.step, "hooks")]
        )
        threads: list[ThreadSpec] = [*((self.liveness.repeat, step, name) for step, name in steps), *hook_threads]
        return [
            start_thread(partial(repeating, step, self._ended, f"worker {self.id} {name}"), name)
            for repeating, step, name in threads
        ]

    def _drain(self, dispatcher: Dispatcher, shutdown: Shutdown) -> None:
        """Hand back what was not started, then wait for the rest, as long as the grace period allows."""
        self._resources.is_shutting_down.set()
        deadline, drained = time.monotonic() + self._settings.grace_s, threading.Event()

        def hand_back_unstarted() -> None:
            dispatcher.hand_back()
            while not self._ended.is_set() and (dispatcher.interrupt_reads() or self._prefetch.in_flight):
                self._prefetch.wait(POLL_S)
                # A read that was under way when the end was asked for may have taken more.
                dispatcher.hand_back()
            drained.set()

        name = f"worker {self.id} hand back"
        # On a thread of its own: a server that does not answer must not make the grace period longer.
        start_thread(partial(retry_until_done, hand_back_unstarted, self._ended, name), "hand back")
        while not drained.wait(POLL_S):
            if time.monotonic() >= deadline or shutdown.immediate.is_set():
                return

    def _leave(self, connected: _ConnectedParts, threads: list[threading.Thread]) -> None:
        """Stop the handlers that are left, end the threads, give the work back and leave the list of workers."""
        interrupted = self._attempts.interrupt_all()
        if not self._shutdown.immediate.is_set():
            connected.process_hooks.stop()
        deadline = time.monotonic() + LEAVE_S
        self._ended.set()
        connected.committers.end()
        self._resources.log_shipper.end()
        if self._hook_notifier is not None:
            self._hook_notifier.flush(time.monotonic() + HOOKS_FLUSH_S)
        connected.slots.end()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        # Begun between the two looks by a slot that had it already.
        interrupted += self._attempts.interrupt_all()
        give_back = partial(self._give_back, connected, interrupted, threads)
        if not run_within(max(GIVE_BACK_S, deadline - time.monotonic()), give_back, "leave"):
            log.warning("worker %s could not leave in order, its lease does: the server does not answer", self.id)

    def _give_back(
        self, connected: _ConnectedParts, interrupted: list[Attempt], threads: list[threading.Thread]
    ) -> None:
        # As late as possible: code that cannot be stopped goes on until the process ends, while others begin the run.
        if interrupted:
            log.warning("worker %s gives back %d runs that it could not finish", self.id, len(interrupted))
        # A read that is still under way may be handed an entry: forgotten, this worker would keep it for ever.
        may_fetch = any(thread.is_alive() for thread in threads)
        if may_fetch:
            log.warning("worker %s could not leave in order, its lease does", self.id)
        for database, beater in connected.beaters.items():
            mine = [attempt.delivery for attempt in interrupted if attempt.database is database]
            try:
                hand_back.interrupt(database, mine, self.id)
                if not may_fetch:
                    places = self._queue_order.all_places()
                    heartbeats.forget_worker(database, self.id, beater.last_beat_ms, places)
            except (NotConnected, ServerRefused) as error:
                log.warning("worker %s could not leave in order, its lease does: %s", self.id, error)
