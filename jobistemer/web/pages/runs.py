"""Runs: those that wait or are in flight, and one with its attempts, its lines, its error or its result."""

from __future__ import annotations

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from jobistemer.core.errors import UnknownRun
from jobistemer.core.handlers.attempt_log import LogLine, Notes
from jobistemer.core.runs.records import AttemptRecord
from jobistemer.core.states import TERMINAL_RUNS, RunState
from jobistemer.store.actions import dead_letters
from jobistemer.store.calls import attempt_log
from jobistemer.store.database import Database
from jobistemer.store.reads import entries, jobs, queues, records
from jobistemer.web.charts.gantt import of_attempts
from jobistemer.web.dashboard.dashboard import of

ON_STREAMS, DELAYED = 50, 30
ATTEMPTS, SPEAKING, LINES = 100, 5, 200
"""How many attempts are shown, of how many the lines, and how many of these: the last ones each time."""
_ENTRY: Final = re.compile(r"\d{1,20}-\d{1,20}", re.ASCII)


def runs_page(request: Request) -> Response:
    """What is on streams and what waits for its time. What has ended is found by its id, or by its occurrence."""
    dashboard = of(request)
    shards = dashboard.shards
    queue, after = request.query_params.get("queue", ""), request.query_params.get("after", "")
    start = after if _ENTRY.fullmatch(after) else "-"
    found = entries.list_entries(shards, queue, start, ON_STREAMS)
    return dashboard.page(
        request,
        "runs.html",
        found=found,
        queue=queue,
        after=start,
        following=found[-1].entry if queue and len(found) >= ON_STREAMS else "",
        queues=queues.list_queues(shards),
        delayed=jobs.list_delayed(shards, DELAYED),
        delayed_total=jobs.delayed_total(shards),
    )


def run_page(request: Request) -> Response:
    """One run. Raises UnknownRun."""
    dashboard = of(request)
    identity = request.path_params["run"]
    located = jobs.locate_run(dashboard.shards, identity)
    if located is None:
        raise UnknownRun(f"run {identity:.100} is not on record: it never was, or its retention is over")
    database, run = located
    now_ms = database.read_clock()
    attempts = records.find_attempts(database, run)[-ATTEMPTS:]
    return dashboard.draw(
        request,
        "run.html",
        now_ms=now_ms,
        run=run,
        result=bytes(run.result) if bytes(run.result) != b"null" else b"",
        attempts=attempts,
        is_over=run.state in TERMINAL_RUNS,
        letter=dead_letters.find_dead(database, identity) if run.state is RunState.DEAD else None,
        picture=of_attempts(run.enqueued_at, attempts, now_ms),
        logs=_logs(database, attempts),
    )


def _logs(database: Database, attempts: list[AttemptRecord]) -> list[tuple[AttemptRecord, Notes, list[LogLine]]]:
    found = [
        (each, attempt_log.find_notes(database, each.id, max(0, each.lines - LINES))) for each in attempts[-SPEAKING:]
    ]
    return [(each, noted, noted.lines[-LINES:]) for each, noted in found if noted.lines or noted.progress]
