"""The page of one occurrence: its tasks and their attempts, errors and log lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from jobistemer.core.errors import UnknownOccurrence
from jobistemer.core.handlers.attempt_log import LogLine
from jobistemer.core.runs.history_text import explain_occurrence, find_mentioned
from jobistemer.core.runs.records import AttemptRecord, OccurrenceRecord
from jobistemer.core.runs.report import Report
from jobistemer.core.states import TERMINAL_OCCURRENCES
from jobistemer.store.calls import attempt_log
from jobistemer.store.calls.jobs import find_version
from jobistemer.store.database import Database
from jobistemer.store.reads import records
from jobistemer.store.reads.durable.steps import list_steps_of_runs
from jobistemer.store.reads.reports import read_report
from jobistemer.web.charts.gantt import build_report_gantt
from jobistemer.web.charts.graph import draw_graph, nodes_of_report
from jobistemer.web.shared.dashboard import get_dashboard

MAX_LOGS, MAX_LINES = 12, 20
"""The log of the last so many attempts is shown, with its last so many lines; the page of a run shows more."""
MAX_ERRORS = 20


class TaskFailure(NamedTuple):
    """An attempt with an error, and its task."""

    task: str
    run: str
    attempt: AttemptRecord


class AttemptLog(NamedTuple):
    """The last log lines of one attempt. before: the number of lines before these."""

    task: str
    run: str
    attempt: AttemptRecord
    lines: list[LogLine]
    before: int


def occurrence_page(request: Request) -> Response:
    """Render one occurrence. Raises UnknownOccurrence."""
    dashboard = get_dashboard(request)
    database, record, report = _find_occurrence(dashboard.shards, request.path_params["occurrence"])
    now_ms, job = database.read_clock(), find_version(database, record.job, record.version)
    return dashboard.render(
        request,
        "occurrence.html",
        now_ms=now_ms,
        report=report,
        record=record,
        never_ran=record.state in records.NEVER_RAN,
        reason=_explain(dashboard.shards, record),
        is_over=record.state in TERMINAL_OCCURRENCES,
        chart=build_report_gantt(report, list_steps_of_runs(database, [task.run for task in report.tasks]), now_ms),
        graph=draw_graph(nodes_of_report(report, job)) if job else None,
        failures=_find_failures(report)[-MAX_ERRORS:],
        logs=list(_read_logs(database, report)),
    )


def _find_occurrence(shards: Sequence[Database], occurrence: str) -> tuple[Database, OccurrenceRecord, Report]:
    # The id does not contain the job, so the shard is not known.
    for database in shards:
        report = read_report(database, occurrence)
        found = records.find_occurrences(database, [occurrence]) if report else []
        if report and found:
            return database, found[0], report
    raise UnknownOccurrence(f"{occurrence:.100} is not on record: it never was, or its retention is over")


def _explain(shards: Sequence[Database], record: OccurrenceRecord) -> str:
    # What it mentions is of the same job, and a job is on one shard; which one, its id does not say.
    mentioned = sorted(find_mentioned([record]))
    others = [each for shard in shards for each in records.find_occurrences(shard, mentioned)] if mentioned else []
    # The page shows the error by itself.
    return explain_occurrence(msgspec.structs.replace(record, error=""), {each.id: each.due for each in others})


def _find_failures(report: Report) -> list[TaskFailure]:
    found = [
        TaskFailure(task.name, task.run, attempt) for task in report.tasks for attempt in task.attempts if attempt.error
    ]
    return sorted(found, key=lambda failure: failure.attempt.started_at)


def _read_logs(database: Database, report: Report) -> Iterator[AttemptLog]:
    with_lines = [(task, attempt) for task in report.tasks for attempt in task.attempts if attempt.lines]
    for task, attempt in with_lines[-MAX_LOGS:]:
        before = max(0, attempt.lines - MAX_LINES)
        log = attempt_log.read_attempt_log(database, attempt.id, before)
        yield AttemptLog(task.name, task.run, attempt, log.lines[-MAX_LINES:], before)
