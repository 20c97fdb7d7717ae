"""Tally: what the attempts of a worker came to, counted where their ends are recorded.

Each thread that records ends has a tally of its own, so nothing is locked. Nobody has one unless it was asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from jobistemer.core.reads.metrics import Measure, Spread
from jobistemer.core.runs.message import Message
from jobistemer.core.runs.settle import Ending, Over
from jobistemer.core.states import AttemptState, RunState
from jobistemer.store.calls.runs import Ended
from jobistemer.worker.attempts.attempt import Flight

GOES_ON = ""
"""Stands in the place of a run's terminal state while there is none."""
# As plain texts: members of an enumeration are slow to hash, and this is counted for every run.
_SUCCEEDED = (AttemptState.SUCCEEDED.value, RunState.SUCCEEDED.value)
_LABELS = ("task", "queue")


class _OfTask:
    """Attempts of one task from one queue. ends: by the state of the attempt and that of its run."""

    __slots__ = ("ends", "took", "waited")

    def __init__(self) -> None:
        self.ends: Counter[tuple[str, str]] = Counter()
        self.took = Spread()
        self.waited = Spread()

    def __add__(self, other: _OfTask) -> _OfTask:
        result = _OfTask()
        result.ends = self.ends + other.ends
        result.took, result.waited = self.took + other.took, self.waited + other.waited
        return result


class Tally:
    """What one thread has recorded, by task and queue."""

    def __init__(self) -> None:
        self.tasks: dict[tuple[str, str], _OfTask] = {}

    def count_successes(self, flights: Iterable[Flight]) -> None:
        """Attempts whose success, and that of their runs, is on record."""
        by_task: dict[_OfTask, list[Flight]] = {}
        for flight in flights:
            by_task.setdefault(self._of(flight.delivery.message), []).append(flight)
        for of_task, some in by_task.items():
            of_task.ends[_SUCCEEDED] += len(some)
            _time(of_task, some)

    def count(self, flight: Flight, ended: Ended, ending: Ending) -> None:
        """An attempt whose end is on record."""
        self.count_lost(ended, ending)
        _time(self._of(ended.delivery.message), [flight])

    def count_lost(self, ended: Ended, ending: Ending) -> None:
        """An attempt that another worker began: how long it took is not known."""
        over = ending.state.value if isinstance(ending, Over) else GOES_ON
        self._of(ended.delivery.message).ends[ended.outcome.state.value, over] += 1

    def _of(self, message: Message) -> _OfTask:
        found = self.tasks.get((message.handler, message.queue))
        if found is None:
            found = self.tasks[message.handler, message.queue] = _OfTask()
        return found


class Tallies:
    """All the tallies of a worker."""

    def __init__(self) -> None:
        self._tallies: list[Tally] = []

    def new(self) -> Tally:
        """One more, for a thread of its own."""
        self._tallies.append(Tally())
        return self._tallies[-1]

    def measures(self) -> list[Measure]:
        """What has been counted so far."""
        tasks: dict[tuple[str, str], _OfTask] = {}
        for key, of_task in (item for each in self._tallies for item in list(each.tasks.items())):
            tasks[key] = tasks[key] + of_task if key in tasks else of_task
        attempts: Counter[tuple[str, ...]] = Counter()
        runs: Counter[tuple[str, ...]] = Counter()
        retries: Counter[tuple[str, ...]] = Counter()
        for key, of_task in tasks.items():
            for (attempt, run), count in list(of_task.ends.items()):
                attempts[*key, attempt] += count
                (runs if run else retries)[(*key, run) if run else key] += count
        return [
            _counter("attempts", "Attempts whose end is on record, by their state.", "state", attempts),
            _counter("runs", "Runs that have ended, by their terminal state.", "outcome", runs),
            _counter("retries", "Attempts that another one follows.", "", retries),
            Measure("spread", "attempt_duration_seconds", "How long handlers took.", _LABELS,
                    [(key, of_task.took) for key, of_task in tasks.items()]),
            Measure("spread", "attempt_wait_seconds", "From when it was put onto its queue until its handler began.",
                    _LABELS, [(key, of_task.waited) for key, of_task in tasks.items()]),
        ]  # fmt: skip


def _time(of_task: _OfTask, flights: list[Flight]) -> None:
    of_task.took.add(*[flight.ended - flight.started for flight in flights])
    # The id of an entry begins with the server's time in ms when it was added to the stream.
    begun = flights[0].database.clock.at_ms(0)
    waited_ms = [
        begun + flight.started * 1000 - int(flight.delivery.entry.partition(b"-")[0]) for flight in flights
    ]
    of_task.waited.add(*[waited / 1000 if waited > 0 else 0.0 for waited in waited_ms])


def _counter(name: str, what: str, label: str, counts: Counter[tuple[str, ...]]) -> Measure:
    labels = (*_LABELS, label) if label else _LABELS
    return Measure("counter", name, what, labels, list(counts.items()))
