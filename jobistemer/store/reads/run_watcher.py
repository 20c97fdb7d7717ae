"""Watch one run: report what has changed since the last poll."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from jobistemer.core import ids
from jobistemer.core.handlers.attempt_log import LogLine, Progress
from jobistemer.core.runs.records import RunRecord
from jobistemer.core.states import TERMINAL_RUNS, RunState
from jobistemer.store.calls import attempt_log
from jobistemer.store.database import Database
from jobistemer.store.reads import records


class RunUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a run: a new log line, new progress, or a new state or attempt.

    missed: how many lines before this one were lost since the last poll, because only the last ones are kept.
    """

    run: str
    attempt: int
    state: RunState
    line: LogLine | None = None
    progress: Progress | None = None
    missed: int = 0


class RunWatcher:
    """Polls a run; each poll reports what the one before has not reported."""

    def __init__(self, database: Database, run_id: str) -> None:
        self._database = database
        self._run_id = run_id
        self._attempt = 0
        self._lines_seen = 0
        self._progress: Progress | None = None
        self._state: tuple[RunState, int] | None = None
        self.record: RunRecord | None = None

    @property
    def is_over(self) -> bool:
        """Tell whether the run has ended, so that no further change will come."""
        return self.record is None or self.record.state in TERMINAL_RUNS

    def poll(self) -> Iterator[RunUpdate]:
        """Yield the changes since the last poll, in order; nothing when the run is not on record."""
        # The record is read before the lines: an attempt stores its lines before its end, so once the record says that
        # the run has ended, all lines are there. The other way round, the last ones could be missed.
        self.record = record = records.find_record(self._database, self._run_id)
        if record is None:
            return
        while self._attempt < record.attempt:
            yield from self._log_updates(record, self._attempt)
            self._attempt, self._lines_seen, self._progress = self._attempt + 1, 0, None
        if not self.is_over:
            yield from self._state_updates(record)
        yield from self._log_updates(record, record.attempt)
        yield from self._state_updates(record)

    def _state_updates(self, record: RunRecord) -> Iterator[RunUpdate]:
        if self._state != (record.state, record.attempt):
            self._state = (record.state, record.attempt)
            yield RunUpdate(run=record.id, attempt=record.attempt, state=record.state)

    def _log_updates(self, record: RunRecord, attempt: int) -> Iterator[RunUpdate]:
        found = attempt_log.read_attempt_log(self._database, ids.attempt_id(record.id, attempt), self._lines_seen)
        for line in found.lines:
            missed, self._lines_seen = line.n - self._lines_seen, line.n + 1
            yield RunUpdate(run=record.id, attempt=attempt, state=record.state, line=line, missed=missed)
        if found.progress is not None and found.progress != self._progress:
            self._progress = found.progress
            yield RunUpdate(run=record.id, attempt=attempt, state=record.state, progress=found.progress)
