"""A whole system in one process and without threads of its own: producers, tickers and workers that take steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from jobistemer.app import Jobistemer
from jobistemer.core.builtin_tasks import Permissions
from jobistemer.core.errors import NotConnected
from jobistemer.core.jobs.job import Job
from jobistemer.core.runs.records import AttemptRecord, OccurrenceRecord, RunRecord
from jobistemer.core.settings import TickerSettings, WorkerSettings
from jobistemer.runtime.liveness import Liveness
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.store.actions import hand_back
from jobistemer.store.calls import groups, streams
from jobistemer.store.calls.returned_runs import Unstarted
from jobistemer.store.clock import Clock
from jobistemer.store.continuity import Continuity
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads import records as views
from jobistemer.ticker.shard_ticker import ShardTicker
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.attempts.definition_cache import DefinitionCache
from jobistemer.worker.attempts.in_flight import Prefetch, RunningAttempts
from jobistemer.worker.attempts.metrics import AttemptMetrics
from jobistemer.worker.attempts.watchdog import Watchdog
from jobistemer.worker.commit.committer import Committer
from jobistemer.worker.commit.effects import CommitEffects
from jobistemer.worker.execute.context_tools import ContextResources, ContextTools
from jobistemer.worker.execute.default_reducer import DEFAULT_REDUCER
from jobistemer.worker.execute.execute import run
from jobistemer.worker.execute.middleware import apply_middleware
from jobistemer.worker.execute.step_recorder import Recorder
from jobistemer.worker.fetch.early import is_early
from jobistemer.worker.fetch.fetcher import Fetcher, QueueOrder
from jobistemer.worker.fetch.worker_parts import WorkerParts
from jobistemer.worker.lease.beat import Beater
from jobistemer.worker.lease.reclaim import Reclaimer

TICKER_SETTINGS = TickerSettings()
WORKER_SETTINGS = WorkerSettings(beat_s=5.0)
"""With time enough in a beat to take over all of a dead worker, on however busy a machine."""
SECOND_LOOK_S = 1e-9
"""The patience of a reclaimer that takes over at its second look, however soon that comes."""


def open_app(url: str, clock: Clock) -> Jobistemer:
    """An app in the namespace of the `database` fixture, on its clock."""
    app = Jobistemer(url, namespace="test")
    app.namespace = app.producer.namespace = app.control._namespace = Namespace(url, "test", clock=clock)
    return app


def build_ticker(database: Database, settings: TickerSettings = TICKER_SETTINGS, name: str = "ticker") -> ShardTicker:
    return ShardTicker(database, settings, name)


class StepWorker:
    """The parts of a worker, moved by hand: what a slot does is done where the test says so."""

    def __init__(
        self,
        database: Database,
        app: Jobistemer,
        name: str = "alice",
        settings: WorkerSettings = WORKER_SETTINGS,
        recorder: Recorder | None = None,
    ) -> None:
        self.database, self.name = database, name
        self.prefetch, self.queue_order = Prefetch(settings.concurrency), QueueOrder(settings.queues)
        resources = ContextResources(Permissions(), app.plugins.prepare, recorder)
        self.attempts = RunningAttempts(create_tools=partial(ContextTools, resources=resources))
        self.is_shutting_down = resources.is_shutting_down
        self.shutdown = Shutdown()
        self.waiting: list[Attempt] = []
        self.early: list[Attempt] = []
        self.unadmitted: list[Attempt] = []
        definitions = DefinitionCache()
        self.attempt_metrics = AttemptMetrics()
        effects, effects_of_lost = (
            CommitEffects(definitions, metrics=self.attempt_metrics.add_thread()) for _ in range(2)
        )
        self.committer = Committer(self.prefetch, effects)
        self.watchdog = Watchdog(self.attempts, self.committer.finished.put)
        self.reclaimer = Reclaimer(database, SECOND_LOOK_S, effects_of_lost, reconnect_s=0.0)
        handlers = {DEFAULT_REDUCER.name: DEFAULT_REDUCER, **apply_middleware(app.handlers, app.plugins)}
        self.fetcher = Fetcher(database, name, self.queue_order, self.prefetch, handlers, self.shutdown)
        self.fetcher.keep_unadmitted = self.unadmitted.extend
        parts = WorkerParts(
            name,
            settings,
            handlers,
            self.queue_order,
            self.prefetch,
            self.attempts,
            self.shutdown,
            Liveness(),
            Continuity(),
            definitions,
        )
        self.silent_seen = 0
        self.beater = Beater(database, parts, self.watchdog, self.reclaimer, dict, self._expect_suspects)
        streams.open_streams(database, self.queue_order.all_places())

    def _expect_suspects(self) -> None:
        self.silent_seen += 1

    def beat(self) -> None:
        self.beater.step()

    def fetch(self) -> list[Attempt]:
        """Take what is there from all known places; it waits in this worker, unstarted."""
        self.release_early()
        while self.fetch_once():
            pass
        return list(self.waiting)

    def release_early(self) -> None:
        """What was claimed ahead and is due now waits for a slot, as in a worker that has a thread for it."""
        fetched, self.early = self.early, []
        self.keep_early(fetched)
        now_ms = self.database.clock.now_ms()
        if due := [each for each in self.unadmitted if not is_early(each, now_ms)]:
            # While the server is away they stay where they are, and are asked for again.
            admitted = self.fetcher.admit(due)
            self.unadmitted[:] = [each for each in self.unadmitted if each not in due]
            self.prefetch.remove([each.key for each in due if each not in admitted])
            self.waiting += admitted

    def give_early_back(self) -> None:
        """What a worker does that ends: another one may have it."""
        kept = [*self.early, *self.unadmitted]
        hand_back.return_unstarted(
            self.database, [Unstarted(each.delivery, each.limit_uses) for each in kept], self.name
        )
        self.prefetch.remove([each.key for each in kept])
        self.early.clear()
        self.unadmitted.clear()

    def keep_early(self, attempts: list[Attempt]) -> None:
        now_ms = self.database.clock.now_ms()
        for attempt in attempts:
            (self.early if is_early(attempt, now_ms) else self.waiting).append(attempt)

    def fetch_once(self) -> int:
        """One step of the fetching thread; how many entries it has taken."""
        for attempts in self.fetcher.step(block=False):
            # As a worker's dispatcher does: what belongs to a group that has failed meanwhile is not begun. While the
            # server is away it is begun all the same: what was fetched must not get lost.
            with suppress(NotConnected):
                self.attempts.cancel(groups.find_halted(self.database, [each.delivery.message for each in attempts]))
            self.keep_early(attempts)
        return self.fetcher.taken

    def execute(self) -> None:
        """Run what waits, one by one, and hand the outcomes to the committer."""
        while self.waiting:
            attempt = self.waiting.pop(0)
            if run(attempt, self.attempts, lambda: None):
                self.committer.finished.put(attempt)

    def begin(self, attempt: Attempt) -> Attempt:
        """Have a slot begin an attempt that goes on for as long as the test wants."""
        self.waiting.remove(attempt)
        self.attempts.begin(attempt, lambda: None)
        return attempt

    def commit(self) -> None:
        """Commit what is there: new outcomes, a batch that was cut off, and what was put off."""
        committer = self.committer
        committer._retry_at = 0.0
        while committer._batch or not committer.finished.is_empty:
            committer.step()
        if committer._postponed:
            committer.step()

    def work(self) -> int:
        """Fetch, execute and commit until nothing is left; how many runs that were."""
        done = 0
        while fetched := self.fetch():
            done += len(fetched)
            self.execute()
            self.commit()
        return done


def read_runs(app: Jobistemer, occurrence: str, job: Job) -> dict[str, RunRecord]:
    """The runs of an occurrence by task name."""
    from jobistemer.core import ids

    database = app.namespace.shards[0]
    found = {task.name: ids.run_id(occurrence, ids.task_id(job.id, task.name)) for task in job.tasks}
    records = {name: views.find_run(database, run_id) for name, run_id in found.items()}
    return {name: record for name, record in records.items() if record is not None}


def read_occurrences(database: Database, job: Job) -> list[OccurrenceRecord]:
    """The occurrences of a job in the order of their instants."""
    ids_found = [each.decode() for each in database.client.zrange(database.keys.history(job.id), 0, -1)]
    return views.find_occurrences(database, ids_found)


def read_attempts(database: Database, run_id: str) -> list[AttemptRecord]:
    record = views.find_run(database, run_id)
    return views.find_attempts(database, record) if record else []


@contextmanager
def break_next(
    database: Database, name: str, error: Callable[[], BaseException], after: bool = False
) -> Iterator[list[Any]]:
    """The next use of a method of the database breaks: before it reaches the server, or `after` the answer was sent."""
    broken: list[Any] = []
    original = getattr(database, name)

    def once(*args: Any, **kwargs: Any) -> Any:
        setattr(database, name, original)
        broken.append(args)
        if after:
            original(*args, **kwargs)
        raise error()

    setattr(database, name, once)
    yield broken
    setattr(database, name, original)
