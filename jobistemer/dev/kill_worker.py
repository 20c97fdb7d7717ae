"""A worker is killed on purpose, and the runs that it had in flight are followed until others have run them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import chain, islice
from typing import NamedTuple

from jobistemer.core.reads.summaries import WorkerSummary
from jobistemer.core.runs.records import AttemptRecord
from jobistemer.core.states import TERMINAL_ATTEMPTS, AttemptState
from jobistemer.dev.processes import ProcessGroup
from jobistemer.dev.snapshot import Snapshot
from jobistemer.runtime.child_process import ChildProcess
from jobistemer.store.calls import streams
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads.records import find_attempts, find_record

Notify = Callable[[str], None]
MAX_RUNS = 1_000
WAIT_UNTIL_FULL_MS = 10_000
"""Milliseconds to wait for a worker whose slots are all busy; afterwards one run in flight is enough."""
MAX_REPORTED = 3


class AbandonedRun(NamedTuple):
    """A run that the killed worker had in flight."""

    database: Database
    run: str
    handler: str
    attempt: int


class WorkerKiller:
    """Kills one worker, once, at the first snapshot after `at_ms` that shows one with runs in flight."""

    def __init__(self, processes: ProcessGroup, namespace: Namespace, at_ms: int, notify: Notify) -> None:
        self._processes = processes
        self._namespace = namespace
        self._at_ms = at_ms
        self._notify = notify
        self._killed_worker = ""
        self._killed_at_ms = 0
        self._pending: list[AbandonedRun] = []
        self._taken_over_by: Counter[str] = Counter()

    def update(self, snapshot: Snapshot) -> None:
        """Kill a worker when it is time; later report which abandoned runs others have run."""
        if not self._killed_worker:
            if snapshot.at_ms >= self._at_ms:
                self._try_kill(snapshot)
        elif self._pending:
            self._report_takeovers(snapshot.at_ms)

    def summary(self) -> list[str]:
        """Return the lines for the end of the session."""
        if not self._killed_worker:
            return ["no worker was killed: the time had not come, or none had work in flight"]
        taken = ", ".join(f"{count} by {worker}" for worker, count in sorted(self._taken_over_by.items()))
        left = f"; {len(self._pending)} not yet" if self._pending else ""
        return [f"takeover: of what worker {self._killed_worker} had in flight, run again: {taken or 'none'}{left}"]

    def _try_kill(self, snapshot: Snapshot) -> None:
        impatient = snapshot.at_ms >= self._at_ms + WAIT_UNTIL_FULL_MS
        for worker in sorted(snapshot.workers, key=lambda each: each.in_flight, reverse=True):
            child = self._processes.find_by_pid(worker.pid)
            enough = 1 if impatient else worker.concurrency
            if child is not None and child.exit_code is None and len(self._in_flight(worker.id)) >= enough:
                self._kill(worker, child)
                return

    def _kill(self, worker: WorkerSummary, child: ChildProcess) -> None:
        child.kill()
        self._killed_worker, self._killed_at_ms = worker.id, self._namespace.shards[0].read_clock()
        # Only after the kill: before it the worker could still end some of these runs itself.
        self._pending = self._in_flight(worker.id)
        self._notify(f"KILLED {child.name} ({worker.id}) with SIGKILL: runs it had in flight: {len(self._pending)}")

    def _in_flight(self, worker: str) -> list[AbandonedRun]:
        found = []
        for database in self._namespace.shards:
            for place in streams.list_places(database):
                pending = chain.from_iterable(streams.list_pending(database, place, worker))
                held = [each for _, each in islice(pending, MAX_RUNS) if each]
                found += [AbandonedRun(database, each.message.run, each.message.handler, each.attempt) for each in held]
        return found

    def _report_takeovers(self, now_ms: int) -> None:
        still_open = []
        for abandoned in self._pending:
            lost, again = _find_takeover(abandoned)
            if lost is None or again is None:
                still_open.append(abandoned)
                continue
            self._taken_over_by[again.worker] += 1
            if self._taken_over_by.total() <= MAX_REPORTED:
                self._notify(
                    f"TAKEN OVER {abandoned.handler} {abandoned.run}: attempt {lost.number + 1} lost with "
                    f"{lost.worker}, attempt {again.number + 1} {again.state} on {again.worker}"
                )
        self._pending = still_open
        if not still_open:
            took = (now_ms - self._killed_at_ms) / 1000
            count = self._taken_over_by.total()
            self._notify(f"TAKEOVER COMPLETE after {took:.1f} s: lost attempts {count}, all of them run again")


def _find_takeover(abandoned: AbandonedRun) -> tuple[AttemptRecord | None, AttemptRecord | None]:
    """Return the lost attempt of an abandoned run and a later attempt that has ended; None for a missing one."""
    run = find_record(abandoned.database, abandoned.run)
    attempts = find_attempts(abandoned.database, run) if run is not None else []
    lost = [each for each in attempts if each.number == abandoned.attempt and each.state is AttemptState.LOST]
    later = [each for each in attempts if each.number > abandoned.attempt and each.state in TERMINAL_ATTEMPTS]
    return (lost[0] if lost else None), (later[0] if later else None)
