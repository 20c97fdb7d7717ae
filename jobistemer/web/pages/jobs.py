"""The list of jobs, and the page of one job: schedule, history as a timeline and as a table, versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
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
from jobistemer.core.reads.name_groups import group_names
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
    """Which jobs are shown, and in which order: `due` for those due next first, by name otherwise.

    group: only jobs whose names begin so. flat: not empty for a list without rows for groups.
    """

    sort: str
    state: str
    text: str
    group: str = ""
    flat: str = ""


class VersionRow(NamedTuple):
    """A version of a job. changes: how it differs from the version before it, as far as that one is kept."""

    version: Version
    schedule: str
    changes: tuple[FieldChange, ...]


class GroupRow(NamedTuple):
    """The jobs whose names begin alike, as one row. counts: how many of them are in each of JOB_STATES."""

    start: str
    total: int
    counts: Counter[str]


def jobs_page(request: Request) -> Response:
    """Render the jobs by name, or those due next first, each with its last outcomes."""
    dashboard = get_dashboard(request)
    shards = dashboard.shards
    now_ms = shards[0].read_clock()
    states = dashboard.job_watch.look(shards)
    chosen = JobFilter(*(request.query_params.get(each, "") for each in ("sort", "state", "q", "group", "flat")))
    found = sorted(filter_jobs(states.jobs, chosen, now_ms), key=lambda job: job.name)
    by_due = chosen.sort == "due" and len(found) == len(states.jobs)
    rows = [] if by_due else group_jobs(found, chosen, now_ms)
    page = read_page(
        request,
        JOBS_PER_PAGE,
        lambda offset, limit: (
            jobs.list_jobs(shards, offset, limit) if by_due else _read_rows(shards, rows[offset : offset + limit])
        ),
    )
    shown = [row for row in page.rows if not isinstance(row, GroupRow)]
    return dashboard.render(
        request,
        "jobs.html",
        now_ms=now_ms,
        page=page,
        groups=[row.start for row in rows if isinstance(row, GroupRow)],
        reasons=_explain_last(shards, shown),
        recent=jobs.list_recent(shards, [job.id for job in shown], OUTCOMES_PER_JOB),
        total=len(states.jobs),
        found=len(found),
        chosen=chosen,
        states=JOB_STATES,
        counts=_count_by_state((job for job in states.jobs if job.name.startswith(chosen.group)), now_ms),
    )


def group_jobs(found: list[JobState], chosen: JobFilter, now_ms: int) -> list[JobState | GroupRow]:
    """Return the rows of a list: one for jobs whose names begin alike, where there are more than a page of jobs."""
    if len(found) <= JOBS_PER_PAGE or chosen.flat or chosen.text or chosen.state in JOB_STATES:
        return list(found)
    by_name = {job.name: job for job in found}
    groups = group_names(by_name, chosen.group)
    # Inside of a group that is its only part there is nothing more to group.
    if chosen.group in groups.groups:
        return list(found)
    rows: dict[str, JobState | GroupRow] = {name: by_name[name] for name in groups.alone}
    for start, own in groups.groups.items():
        rows[start] = GroupRow(start, len(own), _count_by_state((by_name[name] for name in own), now_ms))
    return [rows[name] for name in sorted(rows)]


def _count_by_state(found: Iterable[JobState], now_ms: int) -> Counter[str]:
    return Counter(state for job in found for state in JOB_STATES if has_state(job, state, now_ms))


def _read_rows(shards: Sequence[Database], rows: Sequence[JobState | GroupRow]) -> list[JobSummary | GroupRow]:
    """Read what is shown of the jobs among the rows; a job that was removed meanwhile is left out."""
    ids = [row.id for row in rows if isinstance(row, JobState)]
    read = {summary.id: summary for summary in jobs.list_summaries(shards, ids)}
    found = (row if isinstance(row, GroupRow) else read.get(row.id) for row in rows)
    return [row for row in found if row is not None]


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
    within = [job for job in known if job.name.startswith(chosen.group) and wanted in job.name.casefold()]
    return [job for job in within if has_state(job, chosen.state, now_ms)]


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
