"""A whole system in one process and without threads of its own: producers, tickers and workers that take steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from jobistemer.app import Jobistemer
from jobistemer.core.jobs.job import Job
from jobistemer.core.permissions import Permissions
from jobistemer.core.runs.records import AttemptRecord, OccurrenceRecord, RunRecord
from jobistemer.core.settings import TickerSettings, WorkerSettings
from jobistemer.runtime.shutdown import Stopping
from jobistemer.store.calls import groups, streams
from jobistemer.store.clock import Clock
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads import records as views
from jobistemer.ticker.ticker import ShardTicker
from jobistemer.worker.attempts.attempt import Flight, Flights
from jobistemer.worker.attempts.definition_cache import Definitions
from jobistemer.worker.attempts.metrics import Tallies
from jobistemer.worker.attempts.prefetch import Room
from jobistemer.worker.attempts.watchdog import Watch
from jobistemer.worker.commit.committer import Committer
from jobistemer.worker.execute.context_tools import Desk, Support
from jobistemer.worker.execute.default_reducer import GATHER
from jobistemer.worker.execute.execute import run
from jobistemer.worker.fetch.fetcher import Fetcher
from jobistemer.worker.fetch.queue_order import Order
from jobistemer.worker.lease.beat import Beater
from jobistemer.worker.lease.reclaim import Reclaimer

TICKING = TickerSettings()
WORKING = WorkerSettings(beat_s=5.0)
"""With time enough in a beat to take over all of a dead worker, on however busy a machine."""
TWO_LOOKS = 1e-9
"""The patience of a reclaimer that takes over at its second look, however soon that comes."""


def app_on(url: str, clock: Clock) -> Jobistemer:
    """An app in the namespace of the `database` fixture, on its clock."""
    app = Jobistemer(url, namespace="test")
    app.namespace = app.producer.namespace = app.control._namespace = Namespace(url, "test", clock=clock)
    return app


def ticker(database: Database, settings: TickerSettings = TICKING, name: str = "ticker") -> ShardTicker:
    return ShardTicker(database, settings, name)


class StepWorker:
    """The parts of a worker, moved by hand: what a slot does is done where the test says so."""

    def __init__(
        self, database: Database, app: Jobistemer, name: str = "alice", settings: WorkerSettings = WORKING
    ) -> None:
        self.database, self.name = database, name
        self.room, self.order = Room(settings.concurrency), Order(settings.queues)
        self.flights = Flights(open_desk=partial(Desk, support=Support(Permissions())))
        self.stopping = Stopping()
        self.waiting: list[Flight] = []
        definitions = Definitions()
        self.tallies = Tallies()
        self.committer = Committer(self.room, definitions, tally=self.tallies.new())
        self.watch = Watch(self.flights, self.committer.outbox.put)
        self.reclaimer = Reclaimer(database, TWO_LOOKS, definitions, tally=self.tallies.new())
        handlers = {GATHER.name: GATHER, **app.handlers}
        self.fetcher = Fetcher(database, name, self.order, self.room, handlers, self._take)
        self.beater = Beater(
            database, name, settings, self.order, self.flights, self.watch, self.reclaimer, dict, self.stopping
        )
        streams.open_streams(database, self.order.known())

    def _take(self, flights: list[Flight]) -> None:
        # As a worker's intake does: what belongs to a group that has failed meanwhile is not begun.
        self.flights.cancel(groups.halted(self.database, [each.delivery.message for each in flights]))
        self.waiting.extend(flights)

    def beat(self) -> None:
        self.beater.step()

    def fetch(self) -> list[Flight]:
        """Take what is there from all known places; it waits in this worker, unstarted."""
        while self.fetcher.step(block=False):
            pass
        return list(self.waiting)

    def execute(self) -> None:
        """Run what waits, one by one, and hand the outcomes to the committer."""
        while self.waiting:
            flight = self.waiting.pop(0)
            if run(flight, self.flights, lambda: None):
                self.committer.outbox.put(flight)

    def begin(self, flight: Flight) -> Flight:
        """Have a slot begin an attempt that goes on for as long as the test wants."""
        self.waiting.remove(flight)
        self.flights.begin(flight, lambda: None)
        return flight

    def commit(self) -> None:
        """Commit what is there: new outcomes, a batch that was cut off, and what was put off."""
        committer = self.committer
        committer._put_off_until = 0.0
        while committer._batch or not committer.outbox.is_empty:
            committer.step()
        if committer._put_off:
            committer.step()

    def work(self) -> int:
        """Fetch, execute and commit until nothing is left; how many runs that were."""
        done = 0
        while fetched := self.fetch():
            done += len(fetched)
            self.execute()
            self.commit()
        return done


def run_records(app: Jobistemer, occurrence: str, job: Job) -> dict[str, RunRecord]:
    """The runs of an occurrence by task name."""
    from jobistemer.core import ids

    database = app.namespace.shards[0]
    found = {task.name: ids.run_id(occurrence, ids.task_id(job.id, task.name)) for task in job.tasks}
    records = {name: views.find_run(database, run_id) for name, run_id in found.items()}
    return {name: record for name, record in records.items() if record is not None}


def occurrences_of(database: Database, job: Job) -> list[OccurrenceRecord]:
    """The occurrences of a job in the order of their instants."""
    ids_found = [each.decode() for each in database.client.zrange(database.keys.history(job.id), 0, -1)]
    return views.find_occurrences(database, ids_found)


def attempts_of(database: Database, run_id: str) -> list[AttemptRecord]:
    record = views.find_run(database, run_id)
    return views.find_attempts(database, record) if record else []


@contextmanager
def breaking(database: Database, name: str, error: Callable[[], BaseException], after: bool = False) -> Iterator[list[Any]]:
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
