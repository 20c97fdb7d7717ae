"""Metrics of a worker's attempts, counted where their ends are recorded.

Each thread that records ends has metrics of its own, so nothing is locked. There are none unless they were asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from jobistemer.core.reads.metrics import Histogram, Measure
from jobistemer.core.runs.message import Message
from jobistemer.core.runs.settle import FinalState
from jobistemer.core.states import AttemptState, RunState
from jobistemer.store.calls.ended_attempt import EndedAttempt
from jobistemer.worker.attempts.attempt import Attempt

NOT_ENDED = ""
"""Stands in the place of a run's terminal state while there is none."""
# As plain texts: members of an enumeration are slow to hash, and this is counted for every run.
_SUCCEEDED = (AttemptState.SUCCEEDED.value, RunState.SUCCEEDED.value)
_LABELS = ("task", "queue")


class _TaskMetrics:
    """Attempts of one task from one queue. ends: by the state of the attempt and that of its run."""

    __slots__ = ("durations", "ends", "waits")

    def __init__(self) -> None:
        self.ends: Counter[tuple[str, str]] = Counter()
        self.durations = Histogram()
        self.waits = Histogram()

    def __add__(self, other: _TaskMetrics) -> _TaskMetrics:
        result = _TaskMetrics()
        # Copies, which are atomic: to add up the counters themselves would fail while their threads count.
        result.ends = self.ends.copy() + other.ends.copy()
        result.durations, result.waits = self.durations + other.durations, self.waits + other.waits
        return result


class ThreadMetrics:
    """The ends that one thread has recorded, by task and queue."""

    def __init__(self) -> None:
        self.tasks: dict[tuple[str, str], _TaskMetrics] = {}

    def count_successes(self, attempts: Iterable[Attempt]) -> None:
        """Count attempts whose success, and that of their runs, is on record."""
        by_task: dict[_TaskMetrics, list[Attempt]] = {}
        for attempt in attempts:
            by_task.setdefault(self._task_metrics(attempt.delivery.message), []).append(attempt)
        for metrics, some in by_task.items():
            metrics.ends[_SUCCEEDED] += len(some)
            _record_times(metrics, some)

    def count(self, ended: EndedAttempt, attempt: Attempt | None) -> None:
        """Count an attempt whose end is on record; None for one that another worker began: its times are not known."""
        run_state = ended.ending.state.value if isinstance(ended.ending, FinalState) else NOT_ENDED
        metrics = self._task_metrics(ended.delivery.message)
        metrics.ends[ended.outcome.state.value, run_state] += 1
        if attempt is not None:
            _record_times(metrics, [attempt])

    def _task_metrics(self, message: Message) -> _TaskMetrics:
        found = self.tasks.get((message.handler, message.queue))
        if found is None:
            found = self.tasks[message.handler, message.queue] = _TaskMetrics()
        return found


class AttemptMetrics:
    """The ends that all threads of a worker have recorded."""

    def __init__(self) -> None:
        self._threads: list[ThreadMetrics] = []

    def add_thread(self) -> ThreadMetrics:
        """Add metrics for one more thread, and return them."""
        self._threads.append(ThreadMetrics())
        return self._threads[-1]

    def measures(self) -> list[Measure]:
        """Return what has been counted so far."""
        tasks: dict[tuple[str, str], _TaskMetrics] = {}
        for key, metrics in (item for each in self._threads for item in list(each.tasks.items())):
            tasks[key] = tasks[key] + metrics if key in tasks else metrics
        attempts: Counter[tuple[str, ...]] = Counter()
        runs: Counter[tuple[str, ...]] = Counter()
        retries: Counter[tuple[str, ...]] = Counter()
        for key, metrics in tasks.items():
            for (attempt, run), count in list(metrics.ends.items()):
                attempts[*key, attempt] += count
                (runs if run else retries)[(*key, run) if run else key] += count
        return [
            _build_counter("attempts", "Attempts whose end is on record, by their state.", "state", attempts),
            _build_counter("runs", "Runs that have ended, by their terminal state.", "outcome", runs),
            _build_counter("retries", "Attempts that another one follows.", "", retries),
            Measure("histogram", "attempt_duration_seconds", "How long handlers took.", _LABELS,
                    [(key, metrics.durations) for key, metrics in tasks.items()]),
            Measure("histogram", "attempt_wait_seconds", "From when it was put onto its queue until its handler began.",
                    _LABELS, [(key, metrics.waits) for key, metrics in tasks.items()]),
        ]  # fmt: skip


def _record_times(metrics: _TaskMetrics, attempts: list[Attempt]) -> None:
    metrics.durations.add(*[attempt.ended - attempt.started for attempt in attempts])
    # The id of an entry begins with the server's time in ms when it was added to the stream.
    begun = attempts[0].database.clock.at_ms(0)
    waited_ms = [
        begun + attempt.started * 1000 - int(attempt.delivery.entry.partition(b"-")[0]) for attempt in attempts
    ]
    metrics.waits.add(*[waited / 1000 if waited > 0 else 0.0 for waited in waited_ms])


def _build_counter(name: str, what: str, label: str, counts: Counter[tuple[str, ...]]) -> Measure:
    labels = (*_LABELS, label) if label else _LABELS
    return Measure("counter", name, what, labels, list(counts.items()))
