"""A snapshot of a namespace for `jobistemer top`, and the cost of reading it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from jobistemer.core.reads.summaries import DelayedRun, JobSummary, RunSummary, TickerSummary, WorkerSummary
from jobistemer.store.database import Command, Database
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads.ended_runs import list_dead_runs
from jobistemer.store.reads.jobs import list_delayed, list_jobs
from jobistemer.store.reads.queues import list_tickers, list_workers
from jobistemer.store.reads.queues_snapshot import InFlightRun, QueueSnapshot, read_totals, snapshot_queues
from jobistemer.store.scripts import ScriptCall

MAX_LISTED: Final = 20
"""How many jobs, runs in flight, dead letters and delayed runs are read, however many there are."""


class TopFailure(msgspec.Struct, frozen=True):
    """A failed attempt. at: when (Unix ms) its run died, or is tried again."""

    at: int
    run: str
    task: str
    queue: str
    dead: bool
    error: str


class Cost(msgspec.Struct, frozen=True):
    """The cost of one snapshot: commands sent to the server, and milliseconds until all were answered."""

    commands: int
    ms: float


class TopSnapshot(msgspec.Struct, frozen=True):
    """A namespace at one moment; times are Unix ms of the server. delayed, dead, jobs: counts. next_due: of any job.

    upcoming: the jobs that are due next. unseen: how many streams were left out because there are too many.
    """

    at_ms: int
    queues: list[QueueSnapshot]
    unseen: int
    workers: list[WorkerSummary]
    tickers: list[TickerSummary]
    running: list[InFlightRun]
    failures: list[TopFailure]
    delayed: int
    dead: int
    jobs: int
    next_due: int | None
    cost: Cost
    upcoming: list[JobSummary] = []


class CountingDatabase(Database):
    """A shard that counts the commands sent to it."""

    commands = 0

    def ask(self, *command: Any, script: ScriptCall | None = None) -> Any:
        """Execute one command."""
        self.commands += 1
        return super().ask(*command, script=script)

    def ask_all(self, commands: Sequence[Command]) -> list[Any]:
        """Execute many commands in one round trip."""
        self.commands += len(commands)
        return super().ask_all(commands)

    def read_all(self, commands: Sequence[Command]) -> list[Any]:
        """Execute many commands that only read, in one round trip."""
        self.commands += len(commands)
        return super().read_all(commands)


def open_counting_shards(namespace: Namespace) -> list[CountingDatabase]:
    """Return the shards of a namespace as counting databases, on the same connections."""
    return [CountingDatabase(each.client, each.keys, each.clock, each.address) for each in namespace.shards]


def take_snapshot(shards: Sequence[CountingDatabase]) -> TopSnapshot:
    """Read a snapshot of all shards. Raises NotConnected or ServerRefused."""
    before, began = sum(each.commands for each in shards), time.perf_counter()
    at_ms = shards[0].read_clock()
    queues, running, unseen = snapshot_queues(shards, MAX_LISTED)
    totals = read_totals(shards)
    found = TopSnapshot(
        at_ms=at_ms,
        queues=queues,
        unseen=unseen,
        workers=list_workers(shards),
        tickers=list_tickers(shards),
        running=running,
        failures=_list_failures(list_dead_runs(shards, limit=MAX_LISTED), list_delayed(shards, MAX_LISTED)),
        delayed=totals.delayed,
        dead=totals.dead,
        jobs=totals.jobs,
        next_due=totals.next_due,
        cost=Cost(0, 0),
        upcoming=list_jobs(shards, limit=MAX_LISTED),
    )
    commands = sum(each.commands for each in shards) - before
    return msgspec.structs.replace(found, cost=Cost(commands, round((time.perf_counter() - began) * 1000, 1)))


def _list_failures(dead: list[RunSummary], waiting: list[DelayedRun]) -> list[TopFailure]:
    """List the runs that are tried again, the soonest first, then the dead ones, the latest first."""
    again = [
        TopFailure(each.due_at, each.id, each.handler, each.place.rpartition(":")[0], dead=False, error=each.note)
        for each in waiting
        if each.note and each.attempt
    ]
    died = [TopFailure(each.at, each.id, each.task, each.queue, dead=True, error=each.note) for each in dead]
    return [*again[: MAX_LISTED // 2], *died]
