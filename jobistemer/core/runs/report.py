"""The execution report of an occurrence: its end and that of each of its tasks, from the records alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from jobistemer.core.jobs.job import Job, Task
from jobistemer.core.runs.records import AttemptRecord, OccurrenceRecord, RunRecord
from jobistemer.core.states import TERMINAL_RUNS, OccurrenceState, RunState

_FAILED = TERMINAL_RUNS - {RunState.SUCCEEDED, RunState.SKIPPED}


class GroupReport(msgspec.Struct, frozen=True):
    """The runs that a task has mapped: how many there are, have ended and have failed, and their reducer's run."""

    total: int
    done: int
    failed: int
    reducer: str
    state: str
    error: str = ""


class TaskReport(msgspec.Struct, frozen=True):
    """One task of the occurrence; times and durations are in milliseconds.

    state: of its run, or `unknown` when no record is left. waited_ms: from the start of the occurrence to its first
    attempt. took_ms: from its first attempt to its end, retries and waits between them included.
    """

    name: str
    handler: str
    run: str
    state: str
    waited_ms: int | None
    took_ms: int | None
    error: str
    attempts: tuple[AttemptRecord, ...]
    group: GroupReport | None = None


class Report(msgspec.Struct, frozen=True):
    """One occurrence from its claim to its end; due is in Unix seconds, the other times in milliseconds."""

    occurrence: str
    job: str
    version: int
    due: int
    state: OccurrenceState
    reason: str
    error: str
    claimed_at: int
    ended_at: int
    late_ms: int
    took_ms: int | None
    tasks: tuple[TaskReport, ...]

    @property
    def succeeded(self) -> bool:
        """Return whether the occurrence completed."""
        return self.state is OccurrenceState.COMPLETED

    @property
    def failed_tasks(self) -> tuple[TaskReport, ...]:
        """The tasks whose runs ended otherwise than by success or by being skipped."""
        return tuple(task for task in self.tasks if task.state in _FAILED)


class TaskRecords(msgspec.Struct, frozen=True):
    """The records of one task: its run with attempts, and the group that it has mapped."""

    run: str
    record: RunRecord | None
    attempts: tuple[AttemptRecord, ...] = ()
    group: GroupReport | None = None


def make_report(occurrence: OccurrenceRecord, job: Job | None, tasks: Mapping[str, TaskRecords]) -> Report:
    """Build the report of an occurrence.

    job: the version that the occurrence is pinned to, None when it is gone. tasks: the records by task name.
    """
    started = occurrence.started_at or occurrence.claimed_at
    definitions: Sequence[Task] = job.tasks if job else ()
    return Report(
        occurrence=occurrence.id,
        job=job.name if job else occurrence.job,
        version=occurrence.version,
        due=occurrence.due,
        state=occurrence.state,
        reason=occurrence.reason,
        error=occurrence.error,
        claimed_at=occurrence.claimed_at,
        ended_at=occurrence.ended_at,
        late_ms=occurrence.late_ms,
        took_ms=elapsed_ms(started, occurrence.ended_at),
        tasks=tuple(_task_report(task, tasks[task.name]) for task in definitions if task.name in tasks),
    )


def _task_report(task: Task, records: TaskRecords) -> TaskReport:
    record = records.record
    started = [attempt.started_at for attempt in records.attempts if attempt.started_at]
    first = min(started) if started else 0
    return TaskReport(
        name=task.name,
        handler=task.handler,
        run=records.run,
        state=record.state if record else "unknown",
        waited_ms=max(0, first - record.enqueued_at) if record and first else None,
        took_ms=elapsed_ms(first, record.ended_at) if record and first else None,
        error=record.error if record else "",
        attempts=records.attempts,
        group=records.group,
    )


def elapsed_ms(begun: int, ended: int) -> int | None:
    """Return the milliseconds from `begun` to `ended`, or None while `ended` is 0."""
    # Two processes may have written the two times, and their estimates of the server's clock differ by milliseconds.
    return max(0, ended - begun) if ended else None
