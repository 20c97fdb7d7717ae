"""Runs: those that wait or are in flight, and one with its attempts, its lines, its error or its result."""

from __future__ import annotations

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from jobistemer.core.errors import UnknownRun
from jobistemer.core.handlers.attempt_log import AttemptLogRecord, LogLine
from jobistemer.core.runs.records import AttemptRecord
from jobistemer.core.states import TERMINAL_RUNS, RunState
from jobistemer.store.actions import dead_letters
from jobistemer.store.calls import attempt_log
from jobistemer.store.database import Database
from jobistemer.store.reads import entries, jobs, queues, records
from jobistemer.web.charts.gantt import build_attempts_gantt
from jobistemer.web.dashboard.dashboard import get_dashboard

MAX_ENTRIES, MAX_DELAYED = 50, 30
MAX_ATTEMPTS, MAX_LOGS, MAX_LINES = 100, 5, 200
"""How many attempts are shown, of how many the lines, and how many of these: the last ones each time."""
_ENTRY: Final = re.compile(r"\d{1,20}-\d{1,20}", re.ASCII)


def runs_page(request: Request) -> Response:
    """What is on streams and what waits for its time. What has ended is found by its id, or by its occurrence."""
    dashboard = get_dashboard(request)
    shards = dashboard.shards
    queue, after = request.query_params.get("queue", ""), request.query_params.get("after", "")
    start = after if _ENTRY.fullmatch(after) else "-"
    found = entries.list_entries(shards, queue, start, MAX_ENTRIES)
    return dashboard.render_page(
        request,
        "runs.html",
        found=found,
        queue=queue,
        after=start,
        following=found[-1].entry if queue and len(found) >= MAX_ENTRIES else "",
        queues=queues.list_queues(shards),
        delayed=jobs.list_delayed(shards, MAX_DELAYED),
        delayed_total=jobs.count_delayed(shards),
    )


def run_page(request: Request) -> Response:
    """One run. Raises UnknownRun."""
    dashboard = get_dashboard(request)
    run_id = request.path_params["run"]
    located = jobs.locate_run(dashboard.shards, run_id)
    if located is None:
        raise UnknownRun(f"run {run_id:.100} is not on record: it never was, or its retention is over")
    database, run = located
    now_ms = database.read_clock()
    attempts = records.find_attempts(database, run)[-MAX_ATTEMPTS:]
    return dashboard.render(
        request,
        "run.html",
        now_ms=now_ms,
        run=run,
        result=bytes(run.result) if bytes(run.result) != b"null" else b"",
        attempts=attempts,
        is_over=run.state in TERMINAL_RUNS,
        letter=dead_letters.find_dead(database, run_id) if run.state is RunState.DEAD else None,
        picture=build_attempts_gantt(run.enqueued_at, attempts, now_ms),
        logs=_read_logs(database, attempts),
    )


def _read_logs(
    database: Database, attempts: list[AttemptRecord]
) -> list[tuple[AttemptRecord, AttemptLogRecord, list[LogLine]]]:
    found = [
        (each, attempt_log.read_attempt_log(database, each.id, max(0, each.lines - MAX_LINES)))
        for each in attempts[-MAX_LOGS:]
    ]
    return [(each, noted, noted.lines[-MAX_LINES:]) for each, noted in found if noted.lines or noted.progress]
