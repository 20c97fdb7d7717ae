"""The dispatcher: takes runs from all shards, hands them to slots, gives back what had not started."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.core.handlers.handler import Handler
from jobistemer.runtime.liveness import Liveness
from jobistemer.runtime.repeat import retry_until_done, start_thread
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.store.actions import hand_back
from jobistemer.store.calls import groups, streams
from jobistemer.store.database import Database
from jobistemer.worker.attempts.attempt import Attempt, RunningAttempts
from jobistemer.worker.attempts.prefetch import Prefetch
from jobistemer.worker.fetch.fetcher import Fetcher
from jobistemer.worker.fetch.queue_order import QueueOrder
from jobistemer.worker.slots.slots import Slots

QUIET_POLL_S = 0.05

log = logging.getLogger("jobistemer.worker")


class Dispatcher:
    """One thread for each shard, from the first fetch until the worker is asked to end.

    shards: each with what is set as soon as it has heard of this worker.
    """

    def __init__(
        self,
        shards: Mapping[Database, threading.Event],
        worker: str,
        handlers: Mapping[str, Handler],
        queue_order: QueueOrder,
        prefetch: Prefetch,
        attempts: RunningAttempts,
        slots: Slots,
        shutdown: Shutdown,
        liveness: Liveness,
    ) -> None:
        self._liveness = liveness
        self._shards = shards
        self._worker = worker
        self._prefetch = prefetch
        self._attempts = attempts
        self._slots = slots
        self._shutdown = shutdown
        self._queue_order = queue_order
        self._fetchers = {
            Fetcher(each, worker, queue_order, prefetch, handlers, self._dispatch): each for each in shards
        }
        self._empty_fetchers: set[Fetcher] = set()
        self._last_take_marker = object()
        self._unstarted: deque[Attempt] = deque()
        self.threads: list[threading.Thread] = []

    def start(self, *, burst: bool) -> None:
        """Begin to fetch. burst: ask for the worker's end when the queues are empty."""
        self.threads = [self._start_fetching(fetcher, burst=burst) for fetcher in self._fetchers]

    def interrupt_reads(self) -> bool:
        """Whether a read is still under way; it is asked to end."""
        waiting = [fetcher for fetcher, thread in zip(self._fetchers, self.threads, strict=True) if thread.is_alive()]
        for fetcher in waiting:
            with suppress(NotConnected, ServerRefused):
                fetcher.interrupt()
        return bool(waiting)

    def hand_back(self) -> None:
        """Give back what has not been started; it will not be."""
        self._unstarted.extend(self._slots.take_unstarted())
        waiting = [self._unstarted.popleft() for _ in range(len(self._unstarted))]
        for database in self._shards:
            mine = [attempt for attempt in waiting if attempt.database is database]
            try:
                hand_back.hand_back(database, [attempt.delivery for attempt in mine], self._worker)
                self._prefetch.remove([attempt.key for attempt in mine])
            except (NotConnected, ServerRefused) as error:
                log.warning("worker %s could not hand back %d runs yet: %s", self._worker, len(mine), error)
                self._unstarted.extend(mine)

    def _start_fetching(self, fetcher: Fetcher, *, burst: bool) -> threading.Thread:
        step: Callable[[], float | None] = partial(self._burst_step if burst else self._step, fetcher)
        name, database = f"worker {self._worker} fetch", self._fetchers[fetcher]

        def fetch() -> None:
            if self._prepare_shard(database, name):
                self._liveness.repeat(step, self._shutdown.requested, name)

        return start_thread(fetch, "fetch")

    def _prepare_shard(self, database: Database, name: str) -> bool:
        """Nothing is fetched before the first beat: of a worker that nobody has heard of, nobody takes work over.

        Each shard begins by itself: the node of another may be away.
        """
        stop = self._shutdown.requested
        if not retry_until_done(partial(streams.open_streams, database, self._queue_order.all_places()), stop, name):
            return False
        while not self._shards[database].wait(QUIET_POLL_S):
            if stop.is_set():
                return False
        return True

    def _step(self, fetcher: Fetcher) -> float | None:
        if self._shutdown.quiet.is_set():
            return QUIET_POLL_S
        fetcher.step()
        return None

    def _burst_step(self, fetcher: Fetcher) -> float | None:
        if self._shutdown.quiet.is_set():
            return QUIET_POLL_S
        idle, last_take_marker = not self._prefetch.in_flight, self._last_take_marker
        if fetcher.step(block=False):
            self._last_take_marker = object()
        # A run in flight may put others onto any stream. So a stream counts as empty when it was read while nothing
        # was in flight or taken from another, and whatever is taken from one makes all of them unknown again.
        if not (idle and fetcher.found_nothing and self._last_take_marker is last_take_marker):
            self._empty_fetchers.clear()
            return None
        self._empty_fetchers.add(fetcher)
        if len(self._empty_fetchers) == len(self._fetchers):
            self._shutdown.request()
        return None

    def _dispatch(self, attempts: list[Attempt]) -> None:
        if self._shutdown.requested.is_set():
            # Taken by a read that was under way when the end was asked for.
            self._unstarted.extend(attempts)
            return
        self._cancel_halted(attempts)
        self._slots.put(attempts)

    def _cancel_halted(self, attempts: list[Attempt]) -> None:
        """What belongs to a group that has failed meanwhile is not begun."""
        members = [attempt for attempt in attempts if attempt.delivery.message.member is not None]
        if members:
            with suppress(NotConnected, ServerRefused):
                self._attempts.cancel(
                    groups.find_halted(members[0].database, [each.delivery.message for each in members])
                )
