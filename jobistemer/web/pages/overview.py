"""The first page: how things are, what needs a look, what comes next and what has been."""

from __future__ import annotations

from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from jobistemer.core.reads.summaries import JobSummary, QueueSummary, TickerSummary, WorkerSummary
from jobistemer.core.states import OccurrenceState
from jobistemer.store.actions import dead_letters as dead
from jobistemer.store.database import Database
from jobistemer.store.reads import jobs as listings
from jobistemer.store.reads import queues as census
from jobistemer.web.dashboard.dashboard import of

JOBS, COMING, LATEST = 50, 8, 12
_BAD = frozenset({OccurrenceState.FAILED, OccurrenceState.FAILED_STALE, OccurrenceState.TIMED_OUT})


class Sight(NamedTuple):
    """What the first page looks at."""

    jobs_total: int
    jobs: list[JobSummary]
    queues: list[QueueSummary]
    delayed: int
    dead: int
    workers: list[WorkerSummary]
    tickers: list[TickerSummary]


class Notice(NamedTuple):
    """Something that needs a look; tone is a family of colour."""

    tone: str
    text: str
    link: str


def overview_page(request: Request) -> Response:
    """The page."""
    dashboard = of(request)
    shards = dashboard.shards
    now_ms = shards[0].read_clock()
    sight = _look(shards)
    names = {job.id: job.name for job in sight.jobs}
    return dashboard.draw(
        request,
        "overview.html",
        now_ms=now_ms,
        sight=sight,
        notices=notices(sight, now_ms),
        coming=[job for job in sight.jobs if job.next_due][:COMING],
        latest=listings.latest_occurrences(shards, list(names)[:JOBS], LATEST),
        names=names,
    )


def _look(shards: list[Database]) -> Sight:
    return Sight(
        jobs_total=listings.jobs_total(shards),
        jobs=listings.list_jobs(shards, limit=JOBS),
        queues=census.list_queues(shards),
        delayed=listings.delayed_total(shards),
        dead=dead.dead_total(shards),
        workers=census.list_workers(shards),
        tickers=census.list_tickers(shards),
    )


def notices(sight: Sight, now_ms: int) -> list[Notice]:
    """What needs a look, the worst first."""
    found = []
    if sight.jobs_total and not sight.tickers:
        found.append(Notice("bad", "No ticker runs, so nothing becomes due", "/workers"))
    if any(queue.waiting for queue in sight.queues) and not sight.workers:
        found.append(Notice("bad", "Runs wait, and no worker is there to take them", "/workers"))
    unaccounted = max((each.unaccounted for each in sight.tickers), default=0)
    if unaccounted:
        found.append(Notice("bad", f"Jobs that are due and about which nothing happens: {unaccounted}", "/workers"))
    failing = [job.name for job in sight.jobs if job.last and job.last.state in _BAD]
    if failing:
        found.append(Notice("bad", f"Failed last time: {_some(failing)}", "/jobs"))
    if sight.dead:
        found.append(Notice("bad", f"Dead letters: {sight.dead:,}", "/dead"))
    paused = [job.name for job in sight.jobs if job.is_paused(now_ms)]
    if paused:
        found.append(Notice("warn", f"Paused jobs: {_some(paused)}", "/jobs"))
    held = [queue.name for queue in sight.queues if queue.paused or queue.draining]
    if held:
        found.append(Notice("warn", f"Paused or draining queues: {_some(held)}", "/queues"))
    return found


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
