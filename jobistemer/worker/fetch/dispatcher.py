"""The dispatcher: fetches runs from all shards, puts them into slots, and hands back those that were not started."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial

from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.core.runs.message import WIRE_VERSION
from jobistemer.runtime.repeat import retry_until_done, start_thread
from jobistemer.store.calls import groups, streams, unknown_tasks
from jobistemer.store.database import Database
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.fetch.early import EarlyAttempts, is_early
from jobistemer.worker.fetch.fetcher import Fetcher
from jobistemer.worker.fetch.read_ahead import read_steps_ahead
from jobistemer.worker.fetch.returner import Returner
from jobistemer.worker.fetch.worker_parts import WorkerParts
from jobistemer.worker.slots.slots import Slots

QUIET_POLL_S = 0.05
"""How soon a quiet worker notices that it may go on."""

log = logging.getLogger("jobistemer.worker")


class Dispatcher:
    """One thread for each shard, from the first fetch until the worker is asked to end."""

    def __init__(self, parts: WorkerParts, slots: Slots, shards: Mapping[Database, threading.Event]) -> None:
        """Prepare to fetch. shards: each with the event that is set by this worker's first beat there."""
        self._worker = parts.id
        self._attempts = parts.attempts
        self._prefetch = parts.prefetch
        self._queue_order = parts.queue_order
        self._shutdown = parts.shutdown
        self._liveness = parts.liveness
        self._slots = slots
        self._shards = shards
        self._fetchers = {
            Fetcher(each, parts.id, parts.queue_order, parts.prefetch, parts.handlers, parts.shutdown): each
            for each in shards
        }
        self._returners = {each: Returner(each, parts, slots) for each in shards}
        self._early = {each: EarlyAttempts(each.clock, parts.prefetch, slots.put) for each in shards}
        self._unadmitted = [self._keep_unadmitted(fetcher, each) for fetcher, each in self._fetchers.items()]
        self._empty_fetchers: set[Fetcher] = set()
        self._last_take_marker = object()
        self.threads: list[threading.Thread] = []

    def start(self, *, burst: bool) -> None:
        """Begin to fetch. burst: ask for the worker's end when the queues are empty."""
        self.threads = [self._start_fetching(fetcher, burst=burst) for fetcher in self._fetchers]

    def interrupt_reads(self) -> bool:
        """Ask the reads that are still under way to end; return whether there are any."""
        reading = [fetcher for fetcher, thread in zip(self._fetchers, self.threads, strict=True) if thread.is_alive()]
        for fetcher in reading:
            with suppress(NotConnected, ServerRefused):
                fetcher.interrupt()
        return bool(reading)

    def hand_back(self) -> None:
        """Hand back the attempts that have not been started; they will not be. What the server refuses is kept."""
        # Taken out of the slots before anything is sent: from here on no slot can begin one that another worker may
        # get.
        waiting = [attempt for early in self._early.values() for attempt in early.take_unstarted()]
        waiting += [*self._slots.take_unstarted(), *self._attempts.take_preparing()]
        # Last, since an admission may wait for a server that hangs. What it has let into slots goes with the next call.
        waiting += [attempt for early in self._unadmitted for attempt in early.take_unstarted()]
        for database, returner in self._returners.items():
            returner.add(attempt for attempt in waiting if attempt.database is database)
            returner.return_added()

    def _keep_unadmitted(self, fetcher: Fetcher, database: Database) -> EarlyAttempts:
        """Return what keeps the runs that wait for their instant and then for their admission: apart from the others.

        Those begin in time, also while the server does not answer.
        """
        kept = EarlyAttempts(database.clock, self._prefetch, self._slots.put, fetcher.admit)
        fetcher.keep_unadmitted = kept.add
        return kept

    def _start_fetching(self, fetcher: Fetcher, *, burst: bool) -> threading.Thread:
        step = partial(self._step, fetcher, burst=burst)
        name, database = f"worker {self._worker} fetch", self._fetchers[fetcher]

        def fetch() -> None:
            if self._prepare_shard(database, name):
                self._liveness.repeat(step, self._shutdown.requested, name)
                fetcher.close()

        return start_thread(fetch, "fetch")

    def _prepare_shard(self, database: Database, name: str) -> bool:
        """Wait for the first beat: before it, no other worker would take over what this one has fetched.

        Each shard begins by itself: the node of another one may be away.
        """
        stop = self._shutdown.requested
        if not retry_until_done(partial(streams.open_streams, database, self._queue_order.all_places()), stop, name):
            return False
        while not self._shards[database].wait(QUIET_POLL_S):
            if stop.is_set():
                return False
        # Runs may have waited for a worker that knows their tasks; this one asks for them as soon as it can take them.
        return retry_until_done(partial(unknown_tasks.announce_worker, database), stop, name)

    def _step(self, fetcher: Fetcher, *, burst: bool) -> float | None:
        """Fetch once, and put each list of attempts into slots as soon as it may start."""
        database = self._fetchers[fetcher]
        returner = self._returners[database]
        if returner.unstarted or not self._prefetch.has_idle_slot or self._slots.waiting_suspects:
            fetcher.pause_s = returner.step()
        # After the look for what waits in vain: a quiet worker goes on giving that back.
        if self._shutdown.quiet.is_set():
            return QUIET_POLL_S
        was_idle, marker = burst and not self._prefetch.in_flight, self._last_take_marker
        for attempts in fetcher.step(block=not burst):
            if self._shutdown.requested.is_set():
                # Fetched by a read that was under way when the end was asked for.
                returner.add(attempts)
                continue
            if members := [attempt for attempt in attempts if attempt.delivery.message.member is not None]:
                self._cancel_halted(members)
            if durable := [attempt for attempt in attempts if attempt.delivery.message.wire == WIRE_VERSION]:
                read_steps_ahead(durable)
            now_ms = database.clock.at_ms(time.monotonic())
            latest_ms = max([attempt.delivery.message.enqueued_at for attempt in attempts])
            # Each list as it comes: the first runs begin while those behind them still ask for their permits.
            self._slots.put(self._keep_early(database, attempts, now_ms) if latest_ms > now_ms else attempts)
        if burst:
            self._end_when_empty(fetcher, was_idle=was_idle and self._last_take_marker is marker)
        return None

    def _keep_early(self, database: Database, attempts: list[Attempt], now_ms: int) -> list[Attempt]:
        """Keep the attempts that are not due yet until they are; return the others."""
        if early := [attempt for attempt in attempts if is_early(attempt, now_ms)]:
            self._early[database].add(early)
        return [attempt for attempt in attempts if not is_early(attempt, now_ms)]

    def _end_when_empty(self, fetcher: Fetcher, *, was_idle: bool) -> None:
        """Ask for the worker's end when all streams were found empty.

        A run in flight may put others onto any stream. So a stream counts as empty only when it was read while nothing
        was in flight or taken from another one, and an entry that is taken from one makes all of them unknown again.
        """
        # A new object for each take, compared by identity: a number would have to be counted under a lock.
        if fetcher.taken:
            self._last_take_marker = object()
        if not (was_idle and fetcher.found_nothing):
            self._empty_fetchers.clear()
            return
        self._empty_fetchers.add(fetcher)
        if len(self._empty_fetchers) == len(self._fetchers):
            self._shutdown.request_order()

    def _cancel_halted(self, members: list[Attempt]) -> None:
        """See to it that no member of a group that has failed meanwhile is begun."""
        # While the server is away they are begun: that costs work, and no wrong end.
        with suppress(NotConnected, ServerRefused):
            self._attempts.cancel(groups.find_halted(members[0].database, [each.delivery.message for each in members]))
