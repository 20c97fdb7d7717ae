"""The list of jobs, and the page of one job: schedule, history as a timeline and as a table, versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice, pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from jobistemer.control.jobs import JobControl
from jobistemer.core.errors import UnknownJob
from jobistemer.core.jobs.job import Job
from jobistemer.core.jobs.versions import Version
from jobistemer.core.planning.diff import FieldChange, diff_fields
from jobistemer.core.reads.summaries import JobSummary
from jobistemer.core.runs.history_text import explain_occurrence, find_mentioned
from jobistemer.core.runs.records import OccurrenceRecord
from jobistemer.core.schedules import describe
from jobistemer.store.database import Database
from jobistemer.store.reads import jobs, records
from jobistemer.store.reads.job_states import JobState
from jobistemer.web.charts.graph import draw_graph, nodes_of_job
from jobistemer.web.charts.timeline import HistoryItem, build_timeline
from jobistemer.web.pages.overview import BAD_OUTCOMES
from jobistemer.web.shared.dashboard import get_dashboard
from jobistemer.web.shared.pagination import read_page

JOBS_PER_PAGE, OUTCOMES_PER_JOB = 25, 24
HISTORY_PER_PAGE = 60
MAX_NEXT, MAX_CHANGES, MAX_VERSIONS = 5, 10, 8
_LATEST = datetime(9999, 12, 28, tzinfo=UTC)


JOB_STATES = ("failed", "paused", "running", "unreadable")


class JobFilter(NamedTuple):
    """Which jobs are shown, and in which order: `due` for those due next first, by name otherwise."""

    sort: str
    state: str
    text: str


class VersionRow(NamedTuple):
    """A version of a job. changes: how it differs from the version before it, as far as that one is kept."""

    version: Version
    schedule: str
    changes: tuple[FieldChange, ...]


def jobs_page(request: Request) -> Response:
    """Render the jobs by name, or those due next first, each with its last outcomes."""
    dashboard = get_dashboard(request)
    shards = dashboard.shards
    now_ms = shards[0].read_clock()
    states = dashboard.job_watch.look(shards)
    chosen = JobFilter(*(request.query_params.get(each, "") for each in ("sort", "state", "q")))
    found = sorted(filter_jobs(states.jobs, chosen, now_ms), key=lambda job: job.name)
    by_due = chosen.sort == "due" and len(found) == len(states.jobs)
    page = read_page(
        request,
        JOBS_PER_PAGE,
        lambda offset, limit: (
            jobs.list_jobs(shards, offset, limit)
            if by_due
            else jobs.list_summaries(shards, [job.id for job in found[offset : offset + limit]])
        ),
    )
    return dashboard.render(
        request,
        "jobs.html",
        now_ms=now_ms,
        page=page,
        reasons=_explain_last(shards, page.rows),
        recent=jobs.list_recent(shards, [job.id for job in page.rows], OUTCOMES_PER_JOB),
        total=len(states.jobs),
        found=len(found),
        chosen=chosen,
        states=JOB_STATES,
        counts=Counter(state for job in states.jobs for state in JOB_STATES if has_state(job, state, now_ms)),
    )


def _explain_last(shards: Sequence[Database], summaries: Sequence[JobSummary]) -> dict[str, str]:
    # Reasons name other occurrences by their ids: people know them by their due instants.
    last = [job.last for job in summaries if job.last]
    mentioned = sorted(find_mentioned(last))
    others = [each for shard in shards for each in records.find_occurrences(shard, mentioned)] if mentioned else []
    due = {each.id: each.due for each in (*last, *others)}
    return {each.job: explain_occurrence(each, due) for each in last}


def filter_jobs(known: list[JobState], chosen: JobFilter, now_ms: int) -> list[JobState]:
    """Return the jobs of a state whose names contain a text, whatever its case."""
    wanted = chosen.text.strip().casefold()
    return [job for job in known if wanted in job.name.casefold() and has_state(job, chosen.state, now_ms)]


def has_state(job: JobState, state: str, now_ms: int) -> bool:
    """Return whether a job has one of JOB_STATES; any other word stands for all jobs."""
    if state == "failed":
        return job.outcome in BAD_OUTCOMES
    if state == "paused":
        return job.is_paused(now_ms)
    if state == "unreadable":
        return bool(job.unreadable)
    return job.live > 0 if state == "running" else True


def job_page(request: Request) -> Response:
    """Render one job. Raises UnknownJob."""
    dashboard = get_dashboard(request)
    name = request.path_params["name"]
    control = JobControl(dashboard.namespace)
    job = control.find(name).job
    database = dashboard.namespace.for_job(job.id)
    summary = jobs.find_summary(database, name)
    if summary is None:
        # The job was found one line above: another process has removed it between the two reads.
        raise UnknownJob(f"job {name!r} was removed at this moment")
    now_ms = dashboard.shards[0].read_clock()
    page = read_page(
        request, HISTORY_PER_PAGE, lambda offset, limit: jobs.list_history(database, job.id, offset, limit)
    )
    items = _read_history(database, list(page.rows))
    upcoming = [] if summary.has_ended else _next_instants(job, now_ms)
    zone = str(getattr(job.schedule, "timezone", ""))
    return dashboard.render(
        request,
        "job.html",
        now_ms=now_ms,
        job=job,
        summary=summary,
        expression=_cron_expression(job),
        upcoming=upcoming,
        zone=zone,
        local=_format_local(upcoming, zone),
        page=page,
        items=items,
        timeline=build_timeline(items, now_ms),
        graph=draw_graph(nodes_of_job(job)),
        versions=_version_rows(control.versions(name)),
        changes=control.log(name, MAX_CHANGES),
        totals=(jobs.count_history(database, job.id), jobs.count_job_changes(database, job.id)),
    )


def _read_history(database: Database, history: list[OccurrenceRecord]) -> list[HistoryItem]:
    # Reasons name other occurrences, which may stand on other pages: their due instants are read as well.
    others = records.find_occurrences(database, sorted(find_mentioned(history)))
    due = {each.id: each.due for each in (*history, *others)}
    return [HistoryItem(each, explain_occurrence(each, due)) for each in history]


def _next_instants(job: Job, now_ms: int) -> list[int]:
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    return [round(each.timestamp()) * 1000 for each in islice(job.schedule.between(now, _LATEST), MAX_NEXT)]


def _format_local(upcoming: list[int], zone: str) -> list[str]:
    if zone in {"", "UTC"}:
        return []
    own = ZoneInfo(zone)
    return [f"{datetime.fromtimestamp(each / 1000, own):%a %Y-%m-%d %H:%M:%S}" for each in upcoming]


def _cron_expression(job: Job) -> str:
    expression = getattr(job.schedule, "expression", None)
    return expression if isinstance(expression, str) else ""


def _version_rows(kept: list[Version]) -> list[VersionRow]:
    # One version more than is shown, for the oldest row to have a version to differ from.
    last = kept[-MAX_VERSIONS - 1 :]
    changes = {new.number: diff_fields(old.job, new.job) for old, new in pairwise(last)}
    shown = reversed(last[-MAX_VERSIONS:])
    return [VersionRow(each, describe(each.job.schedule), tuple(changes.get(each.number, ()))) for each in shown]
