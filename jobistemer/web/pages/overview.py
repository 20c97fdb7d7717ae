"""The first page: figures, notices about problems, jobs that are due next, latest occurrences."""

from __future__ import annotations

from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from jobistemer.core.reads.summaries import JobSummary, QueueSummary, TickerSummary, WorkerSummary, has_ended_itself
from jobistemer.core.runs.records import OccurrenceRecord
from jobistemer.core.states import OccurrenceState
from jobistemer.core.text import format_duration, pluralize
from jobistemer.store.actions.dead_letters import count_dead
from jobistemer.store.database import Database
from jobistemer.store.quarantine import count_quarantined
from jobistemer.store.reads import jobs, queues, records
from jobistemer.store.reads.durable.questions import count_questions
from jobistemer.store.reads.job_states import JobState
from jobistemer.web.charts.templating import quote_segment
from jobistemer.web.shared.dashboard import Dashboard, get_dashboard

MAX_UPCOMING, MAX_LATEST, MAX_NAMES = 8, 12, 5
OLD_S = 10
"""After so many seconds the page says how old the oldest of what it knows of the jobs is."""
BAD_OUTCOMES = frozenset({OccurrenceState.FAILED, OccurrenceState.FAILED_STALE, OccurrenceState.TIMED_OUT})


class Overview(NamedTuple):
    """The state of the namespace that the first page shows.

    age_s: how old the oldest of the job states is. served: the queues that workers serve.
    """

    jobs: list[JobState]
    age_s: float
    queues: list[QueueSummary]
    delayed: int
    dead: int
    workers: list[WorkerSummary]
    tickers: list[TickerSummary]
    quarantined: int = 0
    served: frozenset[str] = frozenset()
    questions: int = 0


class Notice(NamedTuple):
    """A problem that an operator should look at. tone: its family of colours, see `core.text.TONES`.

    names: texts with links of their own. more: how many of them are left out.
    """

    tone: str
    text: str
    link: str
    names: tuple[tuple[str, str], ...] = ()
    more: int = 0


def overview_page(request: Request) -> Response:
    """Render the first page."""
    dashboard = get_dashboard(request)
    shards = dashboard.shards
    now_ms = shards[0].read_clock()
    overview = _read_overview(dashboard, shards, now_ms)
    return dashboard.render(
        request,
        "overview.html",
        now_ms=now_ms,
        overview=overview,
        notices=find_notices(overview, now_ms),
        upcoming=[each for each in jobs.list_jobs(shards, limit=MAX_UPCOMING) if each.next_due],
        latest=_list_latest(shards, overview.jobs),
        age_note=f", as of up to {format_duration(overview.age_s * 1000)} ago" if overview.age_s > OLD_S else "",
        names={job.id: job.name for job in overview.jobs},
    )


def _read_overview(dashboard: Dashboard, shards: list[Database], now_ms: int) -> Overview:
    states = dashboard.job_watch.look(shards)
    workers = queues.list_workers(shards)
    return Overview(
        jobs=states.jobs,
        age_s=states.age_s,
        queues=queues.list_queues(shards),
        delayed=jobs.count_delayed(shards),
        dead=count_dead(shards),
        workers=workers,
        tickers=queues.list_tickers(shards),
        quarantined=sum(count_quarantined(database) for database in shards),
        questions=count_questions(shards),
        served=frozenset(queues.find_served_queues(workers, now_ms)),
    )


def find_notices(overview: Overview, now_ms: int) -> list[Notice]:
    """Return notices about the problems of the namespace, the most serious first."""
    found = _find_stops(overview)
    failing = sorted(job.name for job in overview.jobs if job.outcome in BAD_OUTCOMES)
    if failing:
        found.append(_name_jobs("bad", f"{pluralize(len(failing), 'job')} failed last time:", "failed", failing))
    unreadable = sorted(job.name for job in overview.jobs if job.unreadable)
    if unreadable:
        found.append(
            _name_jobs("bad", f"{pluralize(len(unreadable), 'job')} cannot be read:", "unreadable", unreadable)
        )
    if overview.quarantined:
        text = f"{pluralize(overview.quarantined, 'thing')} that cannot be read in the quarantine"
        found.append(Notice("bad", text, "/quarantine"))
    if overview.questions:
        text = f"{pluralize(overview.questions, 'question')} of runs for people"
        found.append(Notice("warn", text, "/questions"))
    if overview.dead:
        found.append(Notice("bad", f"{pluralize(overview.dead, 'dead letter')}", "/dead"))
    by_itself = sorted(job.name for job in overview.jobs if job.is_paused(now_ms) and paused_itself(job))
    if by_itself:
        found.append(_name_jobs("bad", "Paused themselves after failures:", "paused", by_itself))
    paused = sorted(job.name for job in overview.jobs if job.is_paused(now_ms) and _was_paused(job))
    if paused:
        found.append(_name_jobs("warn", f"{pluralize(len(paused), 'paused job')}:", "paused", paused))
    held = [queue.name for queue in overview.queues if queue.paused or queue.draining]
    if held:
        names = tuple((each, f"/runs?queue={quote_segment(each)}") for each in held[:MAX_NAMES])
        found.append(Notice("warn", "Paused or draining queues:", "/queues", names, len(held) - len(names)))
    return found


def _was_paused(job: JobState | JobSummary) -> bool:
    return not paused_itself(job) and not has_ended_itself(job.paused)


def paused_itself(job: JobState | JobSummary) -> bool:
    """Return whether a job was paused by its failures, not by a person."""
    return job.paused.startswith("paused itself")


def _find_stops(overview: Overview) -> list[Notice]:
    found = []
    if overview.jobs and not overview.tickers:
        found.append(Notice("bad", "No ticker runs, so nothing becomes due", "/workers"))
    waiting = sum(queue.all_waiting for queue in overview.queues)
    if waiting and not overview.served:
        found.append(
            Notice("bad", f"{pluralize(waiting, 'run')} wait, and no worker is there to take them", "/workers")
        )
    unserved = [queue.name for queue in overview.queues if queue.all_waiting and queue.name not in overview.served]
    if unserved and overview.served:
        names = tuple((each, f"/runs?queue={quote_segment(each)}") for each in unserved[:MAX_NAMES])
        text = "Runs wait in queues that no worker serves:"
        found.append(Notice("bad", text, "/queues", names, len(unserved) - len(names)))
    unaccounted = max((each.unaccounted for each in overview.tickers), default=0)
    if unaccounted:
        found.append(Notice("bad", f"Jobs that are due and about which nothing happens: {unaccounted}", "/workers"))
    return found


def _name_jobs(tone: str, text: str, state: str, names: list[str]) -> Notice:
    shown = tuple((each, f"/jobs/{quote_segment(each)}") for each in names[:MAX_NAMES])
    return Notice(tone, text, f"/jobs?state={state}", shown, len(names) - len(shown))


def _list_latest(shards: list[Database], states: list[JobState]) -> list[OccurrenceRecord]:
    # One of each job: what fires every second would fill the list.
    newest = sorted((job for job in states if job.latest), key=lambda job: job.due, reverse=True)[:MAX_LATEST]
    found = [each for shard in shards for each in records.find_occurrences(shard, [job.latest for job in newest])]
    return sorted(found, key=lambda record: (record.due, record.claimed_at), reverse=True)
