"""The states of occurrences, task runs and attempts, and the transitions between them, as tables.

A transition is data: `(state, event) -> state`. An illegal event is a missing key, hence one error in one place. The
Lua scripts are held against these tables by `tests/integration/store/test_conformance*.py`; `None` stands for "no
record yet".
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar


class OccurrenceState(StrEnum):
    """State of a due instant of a job."""

    PENDING = "pending"
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    FAILED_STALE = "failed_stale"
    SKIPPED = "skipped"
    MISSED = "missed"
    COMPRESSED = "compressed"
    TIMED_OUT = "timed_out"


class RunState(StrEnum):
    """State of one task run."""

    PENDING = "pending"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    SUSPENDED = "suspended"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELED = "canceled"
    SKIPPED = "skipped"
    DEAD = "dead"


class AttemptState(StrEnum):
    """State of one attempt of a run."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELED = "canceled"
    LOST = "lost"
    SUSPENDED = "suspended"


_O, _R, _A = OccurrenceState, RunState, AttemptState

OCCURRENCE_TRANSITIONS: Mapping[tuple[OccurrenceState | None, str], OccurrenceState] = {
    (None, "fire"): _O.PENDING,
    (None, "queue"): _O.QUEUED,
    (None, "skip"): _O.SKIPPED,
    (None, "miss"): _O.MISSED,
    (None, "compress"): _O.COMPRESSED,
    (_O.QUEUED, "start"): _O.PENDING,
    (_O.PENDING, "progress"): _O.RUNNING,
    (_O.RUNNING, "progress"): _O.RUNNING,
    **{
        (state, event): end
        for state in (_O.PENDING, _O.RUNNING)
        for event, end in {
            "complete": _O.COMPLETED,
            "fail": _O.FAILED,
            "cancel": _O.CANCELED,
            "go_stale": _O.FAILED_STALE,
            "time_out": _O.TIMED_OUT,
        }.items()
    },
    (_O.QUEUED, "cancel"): _O.CANCELED,
}

RUN_TRANSITIONS: Mapping[tuple[RunState | None, str], RunState] = {
    (None, "enqueue"): _R.PENDING,
    (None, "delay"): _R.SCHEDULED,
    (_R.SCHEDULED, "promote"): _R.PENDING,
    # A handler that sleeps or waits for a signal has no attempt until it is woken, by its time or by the signal.
    (_R.SUSPENDED, "promote"): _R.PENDING,
    (_R.SUSPENDED, "signal"): _R.PENDING,
    (_R.PENDING, "start"): _R.RUNNING,
    (_R.PENDING, "skip"): _R.SKIPPED,
    # A run in flight is an entry in a pending list. Its record says "running" only from the first heartbeat on, so
    # that short runs are written once; everything that can end a running run can therefore end a pending one.
    **{
        (state, event): end
        for state in (_R.PENDING, _R.RUNNING)
        for event, end in {
            "succeed": _R.SUCCEEDED,
            "fail": _R.FAILED,
            "time_out": _R.TIMED_OUT,
            "bury": _R.DEAD,
            "retry": _R.SCHEDULED,
            "suspend": _R.SUSPENDED,
            "requeue": _R.PENDING,
        }.items()
    },
    **{(state, "cancel"): _R.CANCELED for state in (_R.PENDING, _R.SCHEDULED, _R.SUSPENDED, _R.RUNNING)},
    # The deadline of its occurrence ends a run wherever it is, as a cancel does.
    **{(state, "deadline"): _R.TIMED_OUT for state in (_R.PENDING, _R.SCHEDULED, _R.SUSPENDED, _R.RUNNING)},
}

ATTEMPT_TRANSITIONS: Mapping[tuple[AttemptState | None, str], AttemptState] = {
    (None, "start"): _A.RUNNING,
    **{
        (state, event): end
        for state in (None, _A.RUNNING)
        for event, end in {
            "succeed": _A.SUCCEEDED,
            "fail": _A.FAILED,
            "time_out": _A.TIMED_OUT,
            "cancel": _A.CANCELED,
            "lose": _A.LOST,
            "suspend": _A.SUSPENDED,
        }.items()
    },
}

_State = TypeVar("_State", OccurrenceState, RunState, AttemptState)

TERMINAL_OCCURRENCES = frozenset(OccurrenceState) - {_O.PENDING, _O.QUEUED, _O.RUNNING}
WAITING_RUNS = frozenset({_R.SCHEDULED, _R.SUSPENDED})
"""States of runs that are in the delayed set, with their message in their record."""
TERMINAL_RUNS = frozenset(RunState) - {_R.PENDING, _R.SCHEDULED, _R.RUNNING, _R.SUSPENDED}
RETRYABLE_RUNS = frozenset({_R.FAILED, _R.TIMED_OUT, _R.CANCELED, _R.DEAD})
"""States of runs that `jobistemer run retry` gives to a new run."""
TERMINAL_ATTEMPTS = frozenset(AttemptState) - {_A.RUNNING}


def next_state(table: Mapping[tuple[_State | None, str], _State], state: _State | None, event: str) -> _State | None:
    """Return the state that `event` leads to from `state`, or None where the table forbids the event."""
    return table.get((state, event))
