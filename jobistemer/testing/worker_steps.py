"""A worker for tests: it runs one attempt after the other, and commits each before the next.

It consists of the parts of a real worker, without their threads. The work of those is done between two attempts, so
that a test runs in the same order each time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

from jobistemer.app import Jobistemer
from jobistemer.core.builtin_tasks import Permissions
from jobistemer.core.durations import LONGEST_WAIT_S
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.runs.message import Delivery
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.store.actions import hand_back
from jobistemer.store.calls import groups
from jobistemer.store.database import Database
from jobistemer.store.keys import split_place
from jobistemer.store.reads.pending_work import list_cancel_requests, read_pauses
from jobistemer.store.reads.stream_stats import list_places
from jobistemer.testing.inline_executor import InlineExecutor
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.attempts.definition_cache import DefinitionCache
from jobistemer.worker.attempts.in_flight import MAX_PREFETCH, Prefetch, RunningAttempts
from jobistemer.worker.commit.committer import Committer
from jobistemer.worker.commit.effects import CommitEffects
from jobistemer.worker.commit.hook_notifier import HookNotifier
from jobistemer.worker.execute.context_tools import ContextResources, ContextTools
from jobistemer.worker.execute.default_reducer import DEFAULT_REDUCER
from jobistemer.worker.execute.middleware import apply_middleware
from jobistemer.worker.fetch.fetcher import Fetcher, QueueOrder

WORKER_NAME = "worker of the test"
MAX_DELAY_MS = LONGEST_WAIT_S * 1000
HOOKS_TIMEOUT_S = 60.0
"""The seconds that hooks have which are called at the end of a run."""


class AllQueues(QueueOrder):
    """The order of a worker that serves all queues: by name, each from its highest priority on."""

    def __init__(self) -> None:
        super().__init__({"default": 0})
        self._open_places: list[str] = []

    def set_places(self, places: Iterable[str]) -> None:
        """Set the places (queue and priority) that exist."""
        self._open_places = sorted(places, key=_sort_key)

    def all_places(self) -> list[str]:
        """Return all places, those of paused queues included."""
        return list(self._open_places)

    def places(self) -> list[str]:
        """Return the places whose queue is not paused."""
        return (
            [each for each in self._open_places if split_place(each)[0] not in self.paused]
            if self.paused
            else self._open_places
        )


class OfflineFetcher(Fetcher):
    """A fetcher that puts off runs of unknown tasks for as long as a run can be put off.

    A real one does so for five seconds each time, for another worker to take the run. In a test there is no other
    worker, and a day on its clock would have 17,280 such instants.
    """

    def _return_unknown(
        self, stream: bytes, entry: bytes, delivery: Delivery | None, fields: Mapping[bytes, bytes] | None
    ) -> None:
        if delivery is None:
            super()._return_unknown(stream, entry, delivery, fields)
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
        resources = ContextResources(Permissions(), plugins.prepare)
        self.attempts = RunningAttempts(create_tools=partial(ContextTools, resources=resources))
        self._hook_notifier = HookNotifier(plugins.hooks)
        resources.notify = self._hook_notifier.notify
        self._committer = Committer(self._prefetch, CommitEffects(DefinitionCache(), self._hook_notifier))
        self.executor = InlineExecutor(self.attempts, self._committer.finished.put)
        # Shared by nested calls of `fetch`: a handler that waits for another run lets it run meanwhile, from in here.
        self._fetched: deque[Attempt] = deque()
        self._orders = {each: AllQueues() for each in shards}
        self._fetchers = {each: self._build_fetcher(each, order) for each, order in self._orders.items()}

    def refresh(self) -> None:
        """Read what a real worker learns with its beats: the paused queues and the holds; and the declared handlers."""
        self._refresh_handlers()
        for database, order in self._orders.items():
            order.paused, order.on_hold = read_pauses(database)

    def fetch(self, queue: str = "") -> Iterator[Attempt]:
        """Yield the attempts that may start now, of one queue or of all. Run each before you take the next one."""
        for database, order in self._orders.items():
            order.set_places(each for each in list_places(database) if queue in ("", split_place(each)[0]))
            if order.places():
                for attempts in self._fetchers[database].step(block=False):
                    self._accept(attempts)
        is_first = True
        while self._fetched:
            attempt = self._fetched.popleft()
            if not is_first:
                # The attempts before may have cancelled it.
                self.attempts.cancel(dict.fromkeys(list_cancel_requests(attempt.database), ""))
            is_first = False
            yield attempt

    def commit(self) -> None:
        """Commit the attempt that has ended, and wait for the hooks that are called after it."""
        self._committer.step()
        self._hook_notifier.flush(time.monotonic() + HOOKS_TIMEOUT_S)

    def close(self) -> None:
        """End the executor."""
        self.executor.close()

    def _build_fetcher(self, database: Database, order: QueueOrder) -> Fetcher:
        return OfflineFetcher(database, WORKER_NAME, order, self._prefetch, self._handlers, Shutdown())

    def _accept(self, attempts: list[Attempt]) -> None:
        # As the dispatcher of a worker does: members of a group that has failed meanwhile are not begun.
        members = [attempt for attempt in attempts if attempt.delivery.message.member is not None]
        if members:
            self.attempts.cancel(groups.find_halted(members[0].database, [each.delivery.message for each in members]))
        self._fetched.extend(attempts)

    def _refresh_handlers(self) -> None:
        """Take over the handlers and the middleware that are declared by now: tests declare some themselves."""
        app, plugins = self._app, self._app.plugins
        has_hooks = bool(plugins.chain.links or plugins.hooks.starting or plugins.hooks.occurrence_starting)
        if self._handlers_key != (len(app.handlers), has_hooks):
            self._handlers_key = (len(app.handlers), has_hooks)
            wrapped = {DEFAULT_REDUCER.name: DEFAULT_REDUCER, **apply_middleware(app.handlers, plugins)}
            self._handlers.update({name: self.executor.capture_exceptions(each) for name, each in wrapped.items()})


def _sort_key(place: str) -> tuple[str, int]:
    queue, priority = split_place(place)
    return queue, -priority
