"""The lists of runs that wait, run or have ended, and the page of one run: attempts, log, error or result."""

from __future__ import annotations

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from jobistemer.core.errors import UnknownRun
from jobistemer.core.handlers.attempt_log import AttemptLogRecord, LogLine
from jobistemer.core.reads.stats import count_states
from jobistemer.core.runs.message import Message
from jobistemer.core.runs.records import AttemptRecord, RunRecord
from jobistemer.core.states import RETRYABLE_RUNS, TERMINAL_RUNS, RunState
from jobistemer.store.actions import dead_letters
from jobistemer.store.calls import attempt_log
from jobistemer.store.calls.groups import group_ids
from jobistemer.store.database import Database
from jobistemer.store.reads import entries, jobs, queues, records
from jobistemer.store.reads.durable.questions import find_question
from jobistemer.store.reads.durable.steps import list_signals, list_steps
from jobistemer.store.reads.ended_runs import ENDED_STATES, MAX_KEPT, list_ended_runs
from jobistemer.store.reads.entries import find_current_message
from jobistemer.store.reads.limited_runs import list_limited_runs
from jobistemer.store.reads.metrics import COUNTED_DAYS
from jobistemer.store.reads.reports import read_group
from jobistemer.web.charts.gantt import build_attempts_gantt
from jobistemer.web.charts.graph import Drawing, Node, draw_graph, node_of_group
from jobistemer.web.pages.questions import build_form
from jobistemer.web.shared.dashboard import get_dashboard
from jobistemer.web.shared.pagination import read_page

MAX_ENTRIES, MAX_DELAYED, MAX_LIMITED = 50, 30, 30
MAX_ATTEMPTS, MAX_LOGS, MAX_LINES, MAX_GROUPS = 100, 5, 200, 20
"""The last so many attempts are shown; of the last so many of them the log, with its last so many lines."""
_ENTRY_ID: Final = re.compile(r"\d{1,20}-\d{1,20}", re.ASCII)


def runs_page(request: Request) -> Response:
    """Render the runs on the streams, those that wait for a limit, and the delayed runs."""
    dashboard = get_dashboard(request)
    shards = dashboard.shards
    queue, after = request.query_params.get("queue", ""), request.query_params.get("after", "")
    # The text goes into a command, so only the id of an entry is let through.
    start = after if _ENTRY_ID.fullmatch(after) else "-"
    found, listed = entries.list_entries(shards, queue, start, MAX_ENTRIES), queues.list_queues(shards)
    chosen = [each for each in listed if queue in ("", each.name)]
    return dashboard.render_page(
        request,
        "runs.html",
        runs=found,
        limited=list_limited_runs(shards, queue, MAX_LIMITED),
        queue=queue,
        after=start,
        next_entry=found[-1].entry if queue and len(found) >= MAX_ENTRIES else "",
        queues=listed,
        total=sum(each.waiting + each.in_flight for each in chosen),
        limited_total=sum(each.all_waiting - each.waiting for each in chosen),
        delayed=jobs.list_delayed(shards, MAX_DELAYED),
        delayed_total=jobs.count_delayed(shards),
    )


def ended_runs_page(request: Request) -> Response:
    """Render the runs that have ended, the latest first: of one state or all, by queue and by a part of the task."""
    dashboard = get_dashboard(request)
    shards = dashboard.shards
    state, queue, task = (request.query_params.get(each, "") for each in ("state", "queue", "q"))
    states = [state] if state in ENDED_STATES else list(ENDED_STATES)
    page = read_page(
        request,
        MAX_ENTRIES,
        lambda offset, limit: list_ended_runs(shards, states, queue=queue, task=task.strip(), limit=offset + limit)[
            offset:
        ],
    )
    now_ms = shards[0].read_clock()
    counts = count_states(dashboard.end_counts.read(shards, now_ms), queue, part=task.strip())
    return dashboard.render(
        request,
        "ended.html",
        now_ms=now_ms,
        page=page,
        counts=counts,
        days=COUNTED_DAYS,
        state=state,
        states=ENDED_STATES,
        queue=queue,
        task=task,
        kept=MAX_KEPT,
    )


def run_page(request: Request) -> Response:
    """Render one run. Raises UnknownRun."""
    dashboard = get_dashboard(request)
    run_id = request.path_params["run"]
    located = jobs.locate_run(dashboard.shards, run_id)
    if located is None:
        raise UnknownRun(f"run {run_id:.100} is not on record: it never was, or its retention is over")
    database, run = located
    now_ms = database.read_clock()
    attempts = records.find_attempts(database, run)[-MAX_ATTEMPTS:]
    steps, asked = list_steps(database, run_id), find_question(database, run)
    dead = dead_letters.find_dead(database, run_id) if run.state in (RunState.DEAD, RunState.TIMED_OUT) else None
    return dashboard.render(
        request,
        "run.html",
        now_ms=now_ms,
        run=run,
        result=bytes(run.result) if bytes(run.result) != b"null" else b"",
        attempts=attempts,
        is_over=run.state in TERMINAL_RUNS,
        dead_run=dead,
        message=dead.message if dead else find_message(database, run),
        can_retry=run.state in RETRYABLE_RUNS and not run.retried_as and dead is None,
        steps=steps,
        question=build_form(dashboard, asked) if asked else None,
        signals=list_signals(database, run_id),
        chart=build_attempts_gantt(run, attempts, steps, now_ms),
        logs=_read_logs(database, attempts),
        graph=_draw_groups(database, run),
    )


def find_message(database: Database, run: RunRecord) -> Message | None:
    """Return the message of a run; None when none is kept, as of a run that has succeeded."""
    return records.find_message(database, run.id) if run.state in TERMINAL_RUNS else find_current_message(database, run)


def _draw_groups(database: Database, run: RunRecord) -> Drawing | None:
    """Draw the runs that a run has mapped, group by group, and the reducer of each group."""
    nodes = [Node(run.handler, state=str(run.state))]
    for number, group in enumerate(group_ids(run.id, min(run.maps, MAX_GROUPS)), 1):
        found = read_group(database, group)
        if found is not None:
            which = f"{number}: " if run.maps > 1 else ""
            mapped = node_of_group(run.handler, found, f"{which}{found.total:,} runs")
            nodes.append(mapped._replace(link=""))
            if mapped.link:
                nodes.append(Node(f"{which}reducer", (mapped.name,), found.state, link=mapped.link))
    return draw_graph(nodes)


def _read_logs(
    database: Database, attempts: list[AttemptRecord]
) -> list[tuple[AttemptRecord, AttemptLogRecord, list[LogLine]]]:
    logs = [
        (each, attempt_log.read_attempt_log(database, each.id, max(0, each.lines - MAX_LINES)))
        for each in attempts[-MAX_LOGS:]
    ]
    return [(each, log, log.lines[-MAX_LINES:]) for each, log in logs if log.lines or log.progress]
