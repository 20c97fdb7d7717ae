"""One worker process: its threads, from the first beat to the last commit."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from jobistemer.core.errors import NotConnected, ServerRefused, WornOut
from jobistemer.core.handlers import Handler
from jobistemer.core.plugins import Plugins
from jobistemer.core.settings import WorkerSettings
from jobistemer.core.states import AttemptState
from jobistemer.runtime.identity import process_identity
from jobistemer.runtime.repeating import repeat, start_thread, until_done
from jobistemer.runtime.stopping import Stopping
from jobistemer.store import groups, members, queues, returning
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.worker.beat import Beater
from jobistemer.worker.commit import Committer
from jobistemer.worker.definitions import Definitions
from jobistemer.worker.desk import Desk, Support
from jobistemer.worker.equip import equipped
from jobistemer.worker.fetch import Fetcher
from jobistemer.worker.flight import Flight, Flights
from jobistemer.worker.gather import GATHER
from jobistemer.worker.herald import Herald
from jobistemer.worker.inbox import Room
from jobistemer.worker.order import Order
from jobistemer.worker.reclaim import COMING_BACK_S, Reclaimer
from jobistemer.worker.recycling import Recycler
from jobistemer.worker.slots import Slots, check_processes
from jobistemer.worker.watch import Watch

POLL_S = 0.05
LAST_WORDS_S = 5.0
"""What hooks may take at the end to be told what has happened."""
LEAVE_S = 3.0
"""How long a thread may take to end that has nothing more to do: a read blocks for two seconds."""

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
        # One for each shard, so that none waits for a node that another one is on.
        self._committers: dict[Database, Committer] = {}
        self._slots: Slots | None = None
        self._watch = Watch(self._flights, self._report)
        self._dry: set[Fetcher] = set()
        self._takes = 0
        self._unstarted: deque[Flight] = deque()
        # Beats, commits and the watch go on while runs in flight finish, so they end after the fetching.
        self._ended = threading.Event()

    def run(self, stopping: Stopping) -> None:
        """Work until `stopping` is requested, then let runs in flight finish within the grace period.

        Raises WornOut when it ended because too many of its threads never did.
        """
        if until_done(self._open, stopping.requested, f"worker {self.id}"):
            self._work(stopping)
        log.info("worker %s stopped", self.id)

    def counts(self) -> dict[str, Any]:
        """What it has done so far."""
        counts = self._counted()
        failed = counts[AttemptState.FAILED] + counts[AttemptState.TIMED_OUT]
        waiting = {"in_flight": self._room.in_flight, "rate": round(self._room.rate), "leaked": self._leaked()}
        return {"done": self._done(), "failed": failed, "stale": counts["stale"], **waiting}

    def _done(self) -> int:
        counts = self._counted()
        return sum(counts[state] for state in AttemptState)

    def _counted(self) -> Counter[str]:
        return sum((each.counts for each in self._committers.values()), Counter[str]())

    def _leaked(self) -> int:
        return self._slots.leaked() if self._slots else 0

    def _report(self, flight: Flight) -> None:
        if self._slots is None:
            self._commit(flight)
        else:
            self._slots.report(flight)

    def _commit(self, flight: Flight) -> None:
        self._committers[flight.database].report(flight)

    def _open(self) -> None:
        for database in self._namespace.shards:
            self._committers[database] = Committer(self.id, self._room, self._definitions, self._herald)

    def _work(self, stopping: Stopping) -> None:
        beaters = {database: self._beater(database, stopping) for database in self._namespace.shards}
        queued = ", ".join(self._settings.queues)
        log.info("worker %s started: %d slots, queues %s", self.id, self._settings.concurrency, queued)
        self._slots = slots = Slots(self._handlers, self._settings, self._flights, self._commit)
        recycler = Recycler(self._settings, self._done, self._leaked, stopping)
        keeping = [self._keep(beater.step, "beat") for beater in beaters.values()]
        keeping += [self._keep(each.step, "commit") for each in self._committers.values()]
        keeping += [self._keep(recycler.step, "recycle"), self._keep(partial(self._watch_step, slots), "watch")]
        keeping.append(self._keep(self._support.journal.step, "journal"))
        if self._herald is not None:
            keeping.append(self._keep(self._herald.step, "herald"))
        fetching = self._start_fetching(beaters, stopping)
        stopping.requested.wait()
        self._drain(fetching, stopping)
        self._ended.set()
        self._leave(beaters, fetching + keeping)
        if recycler.failing:
            raise WornOut(f"worker {self.id} has ended: too many of its threads were stopped and never ended")

    def _watch_step(self, slots: Slots) -> float:
        self._room.held_up = slots.look(self._flights.running())
        return self._watch.step()

    def _beater(self, database: Database, stopping: Stopping) -> Beater:
        patience_s = self._settings.beat_s + COMING_BACK_S
        reclaimer = Reclaimer(database, patience_s, self._definitions, self._herald)
        return Beater(
            *(database, self.id, self._settings, self._order, self._flights, self._watch, reclaimer),
            counts=self.counts,
            stopping=stopping,
        )

    def _keep(self, step: Callable[[], float | None], name: str) -> threading.Thread:
        return start_thread(lambda: repeat(step, self._ended, f"worker {self.id} {name}"), name)

    def _start_fetching(self, beaters: dict[Database, Beater], stopping: Stopping) -> list[threading.Thread]:
        def fetching(database: Database, beater: Beater) -> threading.Thread:
            dispatch = partial(self._dispatch, stopping)
            fetcher = Fetcher(database, self.id, self._order, self._room, self._handlers, dispatch)
            return start_thread(partial(self._fetch, fetcher, database, beater, stopping), "fetch")

        return [fetching(database, beater) for database, beater in beaters.items()]

    def _fetch(self, fetcher: Fetcher, database: Database, beater: Beater, stopping: Stopping) -> None:
        # Nothing is fetched before the first beat: of a worker that nobody has heard of, nobody takes work over. And
        # each shard begins by itself: the node of another may be away.
        name = f"worker {self.id} fetch"
        opened = until_done(partial(queues.open_streams, database, self._order.known()), stopping.requested, name)
        while opened and not beater.begun.wait(POLL_S) and not stopping.requested.is_set():
            pass
        if beater.begun.is_set():
            repeat(partial(self._fetch_step, fetcher, stopping), stopping.requested, name)

    def _fetch_step(self, fetcher: Fetcher, stopping: Stopping) -> float | None:
        if stopping.quiet.is_set():
            return POLL_S
        idle, takes = not self._room.in_flight, self._takes
        taken = fetcher.step(block=not self._settings.burst)
        if self._settings.burst:
            self._takes += bool(taken)
            self._end_burst(fetcher, stopping, found_nothing=idle and fetcher.ran_dry and self._takes == takes)
        return None

    def _end_burst(self, fetcher: Fetcher, stopping: Stopping, *, found_nothing: bool) -> None:
        # A run in flight may put others onto any stream. So a stream counts as empty when it was read while nothing
        # was in flight or taken from another, and whatever is taken from one makes all of them unknown again.
        if not found_nothing:
            self._dry.clear()
            return
        self._dry.add(fetcher)
        if len(self._dry) == len(self._namespace.shards):
            stopping.request()

    def _dispatch(self, stopping: Stopping, flights: list[Flight]) -> None:
        if stopping.requested.is_set():
            # Taken by a read that was under way when the end was asked for.
            self._unstarted.extend(flights)
            return
        self._cancel_halted(flights)
        if self._slots is not None:
            self._slots.put(flights)

    def _cancel_halted(self, flights: list[Flight]) -> None:
        """What belongs to a group that has failed meanwhile is not begun."""
        members = [flight for flight in flights if flight.delivery.message.member is not None]
        if members:
            with suppress(NotConnected, ServerRefused):
                self._flights.cancel(groups.halted(members[0].database, [each.delivery.message for each in members]))

    def _drain(self, fetching: list[threading.Thread], stopping: Stopping) -> None:
        """Hand back what was not started, then wait for the rest, as long as the grace period allows."""
        self._support.leaving.set()
        deadline = time.monotonic() + self._settings.grace_s
        self._hand_back()
        while self._room.in_flight or any(thread.is_alive() for thread in fetching):
            if time.monotonic() >= deadline or stopping.immediate.is_set():
                left = self._room.in_flight
                log.warning("worker %s leaves %d runs in flight; their lease brings them back", self.id, left)
                return
            self._room.wait(POLL_S)
            # A read that was under way when the end was asked for may have taken more.
            self._hand_back()

    def _hand_back(self) -> None:
        if self._slots is not None:
            self._unstarted.extend(self._slots.take_back())
        waiting = [self._unstarted.popleft() for _ in range(len(self._unstarted))]
        for database in self._namespace.shards:
            mine = [flight for flight in waiting if flight.database is database]
            try:
                returning.hand_back(database, [flight.delivery for flight in mine], self.id)
                self._room.give_back([flight.key for flight in mine])
            except (NotConnected, ServerRefused) as error:
                log.warning("worker %s could not hand back %d runs yet: %s", self.id, len(mine), error)
                self._unstarted.extend(mine)

    def _leave(self, beaters: dict[Database, Beater], threads: list[threading.Thread]) -> None:
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
                members.forget_worker(database, self.id, beater.last_beat_ms, self._order.known())
            except (NotConnected, ServerRefused) as error:
                log.warning("worker %s could not leave in order, its lease does: %s", self.id, error)
