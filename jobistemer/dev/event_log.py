"""Events between two snapshots as lines of text: occurrences that began or ended, runs that are tried again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from jobistemer.core.runs.records import OccurrenceRecord
from jobistemer.core.safe_text import escape_text
from jobistemer.core.states import TERMINAL_OCCURRENCES, OccurrenceState
from jobistemer.core.text import first_line
from jobistemer.dev.snapshot import Snapshot
from jobistemer.store.reads.queues import find_served_queues

STATUS_EVERY_MS = 3_000
HIGHLIGHT_PREFIX = ">>>"
"""The beginning of an event that must not be missed."""


class EventLog:
    """The lines of one session. It keeps what it has reported, so that no event is reported twice."""

    def __init__(self) -> None:
        self._states: dict[str, OccurrenceState] = {}
        self._retries: set[tuple[str, int]] = set()
        self._status_at = 0
        self._unserved: set[str] = set()
        self._done: dict[str, int] = {}

    def new_events(self, snapshot: Snapshot) -> Iterator[str]:
        """Return a line for each change since the snapshot before, the earliest first."""
        for record in reversed(snapshot.occurrences):
            if self._states.get(record.id) is not record.state:
                self._states[record.id] = record.state
                yield _format_occurrence(snapshot, record)
        for run in snapshot.waiting:
            if run.note and (run.id, run.attempt) not in self._retries:
                self._retries.add((run.id, run.attempt))
                yield escape_text(
                    f"{_format_time(snapshot.at_ms)} {run.handler} is tried again: {first_line(run.note)}"
                )
        yield from self._find_unserved(snapshot)
        self._done |= {worker.id: worker.done for worker in snapshot.workers}

    def _find_unserved(self, snapshot: Snapshot) -> Iterator[str]:
        """Return a line for each queue in which runs wait and that no worker serves, once."""
        served = find_served_queues(snapshot.workers, snapshot.at_ms)
        # Workers have to have started: before their first beat nothing is served.
        waiting = {each.name for each in snapshot.queues if each.waiting}
        unserved = waiting - served if served else set()
        for queue in sorted(unserved - self._unserved):
            text = f"{_format_time(snapshot.at_ms)} runs wait in {queue}, which no worker serves: name it with -Q"
            yield escape_text(text)
        self._unserved = unserved

    def status_lines(self, snapshot: Snapshot, rate: float) -> Iterator[str]:
        """Return a line about queues, workers and the rate (runs/s); none when the last was under three seconds ago."""
        if snapshot.at_ms - self._status_at >= STATUS_EVERY_MS:
            self._status_at = snapshot.at_ms
            yield _format_status(snapshot, rate)

    def summary(self) -> Iterator[str]:
        """Return the totals of the session."""
        ends = Counter(state for state in self._states.values() if state in TERMINAL_OCCURRENCES)
        open_ = len(self._states) - ends.total()
        counts = [f"{count} {state}" for state, count in sorted(ends.items())]
        yield f"occurrences: {', '.join([*counts, *([f'{open_} not ended'] if open_ else [])]) or 'none'}"
        attempts, failed = sum(self._done.values()), len(self._retries)
        yield f"attempts: {attempts}, of which {failed} were seen to fail and wait for a retry"


def _format_occurrence(snapshot: Snapshot, record: OccurrenceRecord) -> str:
    took_ms = max(0, record.ended_at - record.claimed_at)
    took = f" in {took_ms / 1000:.1f} s" if record.ended_at else ""
    why = first_line(record.error) or record.reason
    due = _format_time(record.due * 1000)
    return escape_text(
        f"{_format_time(snapshot.at_ms)} {snapshot.job_name(record.job)} of {due} {record.state}{took}: {why}"
    )


def _format_status(snapshot: Snapshot, rate: float) -> str:
    queues = [f"{each.name} {each.waiting} waiting, {each.in_flight} in flight" for each in snapshot.queues]
    upcoming = [f"{job.name} at {_format_time(job.next_due)}" for job in snapshot.jobs[:2] if job.next_due]
    parts = [
        *(queues or ["no queue yet"]),
        f"{snapshot.delayed} delayed",
        f"{rate:.0f} runs/s",
        f"workers {len(snapshot.workers)}",
        f"next {', '.join(upcoming) or 'never'}",
    ]
    return escape_text(f"{_format_time(snapshot.at_ms)} · {' | '.join(parts)}")


def _format_time(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%H:%M:%S}"
