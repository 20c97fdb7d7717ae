"""The first page: figures, notices about problems, jobs that are due next, latest occurrences."""

from __future__ import annotations

from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from jobistemer.core.reads.summaries import JobSummary, QueueSummary, TickerSummary, WorkerSummary
from jobistemer.core.states import OccurrenceState
from jobistemer.store.actions.dead_letters import count_dead
from jobistemer.store.database import Database
from jobistemer.store.reads import jobs, queues
from jobistemer.web.shared.dashboard import get_dashboard

MAX_JOBS, MAX_UPCOMING, MAX_LATEST = 50, 8, 12
_BAD_STATES = frozenset({OccurrenceState.FAILED, OccurrenceState.FAILED_STALE, OccurrenceState.TIMED_OUT})


class Overview(NamedTuple):
    """The state of the namespace that the first page shows. jobs: the MAX_JOBS that are due next."""

    jobs_total: int
    jobs: list[JobSummary]
    queues: list[QueueSummary]
    delayed: int
    dead: int
    workers: list[WorkerSummary]
    tickers: list[TickerSummary]


class Notice(NamedTuple):
    """A problem that an operator should look at. tone: its family of colours, see `core.text.TONES`."""

    tone: str
    text: str
    link: str


def overview_page(request: Request) -> Response:
    """Render the first page."""
    dashboard = get_dashboard(request)
    shards = dashboard.shards
    now_ms = shards[0].read_clock()
    overview = _read_overview(shards)
    names = {job.id: job.name for job in overview.jobs}
    return dashboard.render(
        request,
        "overview.html",
        now_ms=now_ms,
        overview=overview,
        notices=find_notices(overview, now_ms),
        upcoming=[job for job in overview.jobs if job.next_due][:MAX_UPCOMING],
        latest=jobs.list_latest(shards, list(names)[:MAX_JOBS], MAX_LATEST),
        names=names,
    )


def _read_overview(shards: list[Database]) -> Overview:
    return Overview(
        jobs_total=jobs.count_jobs(shards),
        jobs=jobs.list_jobs(shards, limit=MAX_JOBS),
        queues=queues.list_queues(shards),
        delayed=jobs.count_delayed(shards),
        dead=count_dead(shards),
        workers=queues.list_workers(shards),
        tickers=queues.list_tickers(shards),
    )


def find_notices(overview: Overview, now_ms: int) -> list[Notice]:
    """Return notices about the problems of the namespace, the most serious first."""
    found = []
    if overview.jobs_total and not overview.tickers:
        found.append(Notice("bad", "No ticker runs, so nothing becomes due", "/workers"))
    if any(queue.waiting for queue in overview.queues) and not overview.workers:
        found.append(Notice("bad", "Runs wait, and no worker is there to take them", "/workers"))
    unaccounted = max((each.unaccounted for each in overview.tickers), default=0)
    if unaccounted:
        found.append(Notice("bad", f"Jobs that are due and about which nothing happens: {unaccounted}", "/workers"))
    failing = [job.name for job in overview.jobs if job.last and job.last.state in _BAD_STATES]
    if failing:
        found.append(Notice("bad", f"Failed last time: {_join_names(failing)}", "/jobs"))
    if overview.dead:
        found.append(Notice("bad", f"Dead letters: {overview.dead:,}", "/dead"))
    paused = [job.name for job in overview.jobs if job.is_paused(now_ms)]
    if paused:
        found.append(Notice("warn", f"Paused jobs: {_join_names(paused)}", "/jobs"))
    held = [queue.name for queue in overview.queues if queue.paused or queue.draining]
    if held:
        found.append(Notice("warn", f"Paused or draining queues: {_join_names(held)}", "/queues"))
    return found


def _join_names(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
