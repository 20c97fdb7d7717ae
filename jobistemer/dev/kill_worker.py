"""Kill a worker on purpose, and follow what becomes of what it had in flight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

from jobistemer.core.reads.summaries import WorkerSummary
from jobistemer.core.runs.records import AttemptRecord
from jobistemer.core.states import TERMINAL_ATTEMPTS, AttemptState
from jobistemer.dev.processes import Crew
from jobistemer.dev.snapshot import Scene
from jobistemer.runtime.child_process import Child
from jobistemer.store.calls import streams
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads.records import find_attempts, find_run

Tell = Callable[[str], None]
MOST = 1_000
PATIENCE_MS = 10_000
"""For so long a moment is waited for in which all slots of a worker are taken; then any work in flight will do."""
SHOWN = 3


class Abandoned(NamedTuple):
    """One run that a killed worker had in flight."""

    database: Database
    run: str
    handler: str
    attempt: int


class Takeover:
    """Kills one worker once, at a scene after `at_ms` in which it has work in flight."""

    def __init__(self, crew: Crew, namespace: Namespace, at_ms: int, tell: Tell) -> None:
        self._crew = crew
        self._namespace = namespace
        self._at_ms = at_ms
        self._tell = tell
        self._victim = ""
        self._killed_at_ms = 0
        self._open: list[Abandoned] = []
        self._takers: Counter[str] = Counter()

    def follow(self, scene: Scene) -> None:
        """Kill when it is time, and tell what has become of the abandoned runs."""
        if not self._victim:
            if scene.at_ms >= self._at_ms:
                self._strike(scene)
        elif self._open:
            self._look_after(scene.at_ms)

    def summary(self) -> list[str]:
        """What there is to say at the end."""
        if not self._victim:
            return ["no worker was killed: the time had not come, or none had work in flight"]
        taken = ", ".join(f"{count} by {worker}" for worker, count in sorted(self._takers.items()))
        left = f"; {len(self._open)} not yet" if self._open else ""
        return [f"takeover: of what worker {self._victim} had in flight, run again: {taken or 'none'}{left}"]

    def _strike(self, scene: Scene) -> None:
        impatient = scene.at_ms >= self._at_ms + PATIENCE_MS
        for worker in sorted(scene.workers, key=lambda each: each.in_flight, reverse=True):
            child = self._crew.member(worker.pid)
            enough = 1 if impatient else worker.concurrency
            if child is not None and child.ended is None and len(self._in_flight(worker.id)) >= enough:
                self._kill(worker, child)
                return

    def _kill(self, worker: WorkerSummary, child: Child) -> None:
        child.kill()
        self._victim, self._killed_at_ms = worker.id, self._namespace.shards[0].read_clock()
        # Only now nobody can end them any more but whoever takes them over.
        self._open = self._in_flight(worker.id)
        self._tell(f"KILLED {child.name} ({worker.id}) with SIGKILL: runs it had in flight: {len(self._open)}")

    def _in_flight(self, worker: str) -> list[Abandoned]:
        found = []
        for database in self._namespace.shards:
            for where in sorted(each.decode() for each in database.ask("SMEMBERS", database.keys.streams)):
                held = [each for _, each in islice(streams.pending_of(database, where, worker), MOST) if each]
                found += [Abandoned(database, each.message.run, each.message.handler, each.attempt) for each in held]
        return found

    def _look_after(self, now_ms: int) -> None:
        still_open = []
        for abandoned in self._open:
            lost, again = _fate(abandoned)
            if lost is None or again is None:
                still_open.append(abandoned)
                continue
            self._takers[again.worker] += 1
            if self._takers.total() <= SHOWN:
                self._tell(
                    f"TAKEN OVER {abandoned.handler} {abandoned.run}: attempt {lost.number} lost with {lost.worker}, "
                    f"attempt {again.number} {again.state} on {again.worker}"
                )
        self._open = still_open
        if not still_open:
            took = (now_ms - self._killed_at_ms) / 1000
            count = self._takers.total()
            self._tell(f"TAKEOVER COMPLETE after {took:.1f} s: lost attempts {count}, all of them run again")


def _fate(abandoned: Abandoned) -> tuple[AttemptRecord | None, AttemptRecord | None]:
    """The lost attempt of an abandoned run, and the later one that has ended; None for what is not there yet."""
    run = find_run(abandoned.database, abandoned.run)
    attempts = find_attempts(abandoned.database, run) if run is not None else []
    lost = [each for each in attempts if each.number == abandoned.attempt and each.state is AttemptState.LOST]
    later = [each for each in attempts if each.number > abandoned.attempt and each.state in TERMINAL_ATTEMPTS]
    return (lost[0] if lost else None), (later[0] if later else None)
