"""A worker that takes its steps when it is told to: one run after the other, each recorded before the next.

It is made of the parts of a real one. Only their threads are left out: what they would do at any time is done between
two runs, so that a test has the same story each time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from jobistemer.app import Jobistemer
from jobistemer.core.durations import LONGEST_WAIT_S
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.permissions import Permissions
from jobistemer.core.runs.message import Delivery
from jobistemer.store.actions import hand_back
from jobistemer.store.calls import groups
from jobistemer.store.database import Database
from jobistemer.store.keys import split_place
from jobistemer.testing.inline_executor import InlineExecutor
from jobistemer.worker.attempts.attempt import Attempt, RunningAttempts
from jobistemer.worker.attempts.definition_cache import DefinitionCache
from jobistemer.worker.attempts.prefetch import MAX_PREFETCH, Prefetch
from jobistemer.worker.commit.committer import Committer
from jobistemer.worker.commit.effects import CommitEffects
from jobistemer.worker.commit.hook_notifier import HookNotifier
from jobistemer.worker.execute.context_tools import ContextResources, ContextTools
from jobistemer.worker.execute.default_reducer import DEFAULT_REDUCER
from jobistemer.worker.execute.middleware import apply_middleware
from jobistemer.worker.fetch.fetcher import Fetcher
from jobistemer.worker.fetch.queue_order import QueueOrder

WORKER_NAME = "worker of the test"
MAX_DELAY_MS = LONGEST_WAIT_S * 1000
HOOKS_TIMEOUT_S = 60.0
"""What hooks may take that are told of an end."""


class AllQueues(QueueOrder):
    """Every queue that has anything in it, by name, each from its highest priority on."""

    def __init__(self) -> None:
        super().__init__({"default": 0})
        self._open_places: list[str] = []

    def set_places(self, places: Iterable[str]) -> None:
        """Note which places there are."""
        self._open_places = sorted(places, key=_sort_key)

    def all_places(self) -> list[str]:
        """All places, paused ones included."""
        return list(self._open_places)

    def places(self) -> list[str]:
        """Those that are not paused."""
        return (
            [each for each in self._open_places if split_place(each)[0] not in self.paused]
            if self.paused
            else self._open_places
        )


class OfflineFetcher(Fetcher):
    """Puts off what nobody here knows once and for all.

    A real one does so for five seconds, again and again: a day of a test would be a long one, and nobody else comes.
    """

    def _return_unknown(self, stream: bytes, entry: bytes, delivery: Delivery | None) -> None:
        if delivery is None:
            super()._return_unknown(stream, entry, delivery)
        else:
            note = f"the app under test has no task {delivery.message.handler}"
            hand_back.hand_back(self._database, [delivery], self._worker, MAX_DELAY_MS, note)


class WorkerSteps:
    """The worker of a test, for all shards and all queues."""

    def __init__(self, app: Jobistemer, shards: Sequence[Database]) -> None:
        self._app = app
        self._handlers: dict[str, Handler] = {}
        self._handlers_key: tuple[int, bool] = (0, False)
        self._prefetch = Prefetch(MAX_PREFETCH)
        plugins = app.plugins
        self.attempts = RunningAttempts(
            create_tools=partial(ContextTools, resources=ContextResources(Permissions(), plugins.prepare))
        )
        self._hook_notifier = HookNotifier(plugins.hooks)
        self._committer = Committer(self._prefetch, CommitEffects(DefinitionCache(), self._hook_notifier))
        self.executor = InlineExecutor(self.attempts, self._committer.finished.put)
        # Shared by whoever fetches: a handler that waits for another run has that one run meanwhile.
        self._fetched: deque[Attempt] = deque()
        self._orders = {each: AllQueues() for each in shards}
        self._fetchers = {each: self._fetcher(each, order) for each, order in self._orders.items()}

    def refresh(self) -> None:
        """What a worker hears with its beats: which queues are paused, and what is on hold."""
        self._refresh_handlers()
        for database, order in self._orders.items():
            keys = database.keys
            paused: Sequence[bytes] = ()
            held: Sequence[bytes] = ()
            # As a rule there is neither, and this is asked for at each instant of a story.
            if database.ask("EXISTS", keys.paused, keys.holds):
                paused = database.ask("SMEMBERS", keys.paused)
                held = database.ask("ZRANGEBYSCORE", keys.holds, f"({database.clock.now_ms()}", "+inf")
            order.paused = {each.decode() for each in paused}
            order.on_hold = frozenset(each.decode() for each in held)

    def fetch(self, queue: str = "") -> Iterator[Attempt]:
        """Take what may start now, of one queue or of all; each is to be run before the next is asked for."""
        for database, order in self._orders.items():
            places = [each.decode() for each in database.ask("SMEMBERS", database.keys.streams)]
            order.set_places(each for each in places if queue in ("", split_place(each)[0]))
            if order.places():
                for attempts in self._fetchers[database].step(block=False):
                    self._accept(attempts)
        begun = False
        while self._fetched:
            attempt = self._fetched.popleft()
            if begun:
                # The runs before may have cancelled it.
                self._apply_cancels(attempt.database)
            begun = True
            yield attempt

    def commit(self) -> None:
        """Record the attempt that has ended, and have hooks told."""
        self._committer.step()
        self._hook_notifier.flush(time.monotonic() + HOOKS_TIMEOUT_S)

    def close(self) -> None:
        """End what was started for the test."""
        self.executor.close()

    def _fetcher(self, database: Database, order: QueueOrder) -> Fetcher:
        return OfflineFetcher(database, WORKER_NAME, order, self._prefetch, self._handlers)

    def _accept(self, attempts: list[Attempt]) -> None:
        # As a worker's dispatcher does: what belongs to a group that has failed meanwhile is not begun.
        members = [attempt for attempt in attempts if attempt.delivery.message.member is not None]
        if members:
            self.attempts.cancel(groups.find_halted(members[0].database, [each.delivery.message for each in members]))
        self._fetched.extend(attempts)

    def _refresh_handlers(self) -> None:
        """Take handlers and middleware as they are declared by now: tests declare some themselves."""
        app, plugins = self._app, self._app.plugins
        hooked = bool(plugins.chain.links or plugins.hooks.starting or plugins.hooks.occurrence_starting)
        if self._handlers_key != (len(app.handlers), hooked):
            self._handlers_key = (len(app.handlers), hooked)
            found = {DEFAULT_REDUCER.name: DEFAULT_REDUCER, **apply_middleware(app.handlers, plugins)}
            self._handlers.update({name: self.executor.capture_exceptions(handler) for name, handler in found.items()})

    def _apply_cancels(self, database: Database) -> None:
        requested = database.ask("ZRANGE", database.keys.cancels, 0, -1)
        self.attempts.cancel(dict.fromkeys((each.decode() for each in requested), ""))


def _sort_key(place: str) -> tuple[str, int]:
    queue, priority = split_place(place)
    return queue, -priority
