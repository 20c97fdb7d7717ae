"""One occurrence: what became of a due instant, task by task and attempt by attempt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from jobistemer.core.errors import UnknownOccurrence
from jobistemer.core.handlers.attempt_log import LogLine
from jobistemer.core.runs.records import AttemptRecord, OccurrenceRecord
from jobistemer.core.runs.report import Report
from jobistemer.core.states import TERMINAL_OCCURRENCES
from jobistemer.store.calls import attempt_log
from jobistemer.store.database import Database
from jobistemer.store.reads import records as views
from jobistemer.store.reads.reports import read_report
from jobistemer.web.charts.gantt import of_report
from jobistemer.web.dashboard.dashboard import of

LOGS, LINES = 12, 20
"""Of how many attempts the last so many lines are shown; the page of a run shows more."""
ERRORS = 20


class Trouble(NamedTuple):
    """An attempt that did not do what it should, and the task it belongs to."""

    task: str
    run: str
    attempt: AttemptRecord


class Logged(NamedTuple):
    """The last lines of one attempt; before: how many came before these."""

    task: str
    run: str
    attempt: AttemptRecord
    lines: list[LogLine]
    before: int


def occurrence_page(request: Request) -> Response:
    """The page. Raises UnknownOccurrence."""
    dashboard = of(request)
    database, record, report = _found(dashboard.shards, request.path_params["occurrence"])
    now_ms = database.read_clock()
    return dashboard.draw(
        request,
        "occurrence.html",
        now_ms=now_ms,
        report=report,
        record=record,
        is_over=record.state in TERMINAL_OCCURRENCES,
        picture=of_report(report, now_ms),
        troubles=_troubles(report)[-ERRORS:],
        logs=list(_logs(database, report)),
    )


def _found(shards: Sequence[Database], occurrence: str) -> tuple[Database, OccurrenceRecord, Report]:
    for database in shards:
        report = read_report(database, occurrence)
        records = views.find_occurrences(database, [occurrence]) if report else []
        if report and records:
            return database, records[0], report
    raise UnknownOccurrence(f"{occurrence:.100} is not on record: it never was, or its retention is over")


def _troubles(report: Report) -> list[Trouble]:
    found = [
        Trouble(task.name, task.run, attempt) for task in report.tasks for attempt in task.attempts if attempt.error
    ]
    return sorted(found, key=lambda trouble: trouble.attempt.started_at)


def _logs(database: Database, report: Report) -> Iterator[Logged]:
    spoke = [(task, attempt) for task in report.tasks for attempt in task.attempts if attempt.lines]
    for task, attempt in spoke[-LOGS:]:
        before = max(0, attempt.lines - LINES)
        found = attempt_log.find_notes(database, attempt.id, before)
        yield Logged(task.name, task.run, attempt, found.lines[-LINES:], before)
