"""Jobs: all of them, and one with its schedule, its history as a picture and as a table, its versions."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice, pairwise
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from jobistemer.app import JobControl
from jobistemer.core.errors import UnknownJob
from jobistemer.core.jobs.job import Job
from jobistemer.core.jobs.versions import Version
from jobistemer.core.planning.diff import FieldChange, changed_fields
from jobistemer.core.runs.history_text import explain, mentioned
from jobistemer.core.runs.records import OccurrenceRecord
from jobistemer.core.schedules import describe
from jobistemer.store.database import Database
from jobistemer.store.reads import jobs, records
from jobistemer.web.charts.timeline import Slot, timeline
from jobistemer.web.dashboard.dashboard import of
from jobistemer.web.dashboard.pagination import paged

JOBS_A_PAGE, OUTCOMES = 25, 24
HISTORY_A_PAGE = 60
NEXT, CHANGES, VERSIONS = 5, 10, 8
_FOREVER = datetime(9999, 12, 28, tzinfo=UTC)


class VersionRow(NamedTuple):
    """A version, and what it has otherwise than the one before that is kept."""

    version: Version
    schedule: str
    changes: tuple[FieldChange, ...]


def jobs_page(request: Request) -> Response:
    """The jobs, those that are due next first, each with its last outcomes."""
    dashboard = of(request)
    shards = dashboard.shards
    page = paged(request, JOBS_A_PAGE, lambda offset, limit: jobs.list_jobs(shards, offset, limit))
    recent = jobs.recent_of(shards, [job.id for job in page.rows], OUTCOMES)
    total = jobs.jobs_total(shards)
    return dashboard.page(request, "jobs.html", page=page, recent=recent, total=total)


def job_page(request: Request) -> Response:
    """One job. Raises UnknownJob."""
    dashboard = of(request)
    name = request.path_params["name"]
    control = JobControl(dashboard.namespace)
    job = control.find(name).job
    database = dashboard.namespace.for_job(job.id)
    summary = jobs.summary_of(database, name)
    if summary is None:
        raise UnknownJob(f"job {name!r} was removed at this moment")
    now_ms = dashboard.shards[0].read_clock()
    page = paged(request, HISTORY_A_PAGE, lambda offset, limit: jobs.list_history(database, job.id, offset, limit))
    slots = _slots(database, list(page.rows))
    return dashboard.draw(
        request,
        "job.html",
        now_ms=now_ms,
        job=job,
        summary=summary,
        expression=_expression(job),
        upcoming=_upcoming(job, now_ms),
        page=page,
        slots=slots,
        picture=timeline(slots, now_ms),
        versions=_versions(control.versions(name)),
        changes=control.log(name, CHANGES),
    )


def _slots(database: Database, history: list[OccurrenceRecord]) -> list[Slot]:
    others = records.find_occurrences(database, sorted(mentioned(history)))
    due = {each.id: each.due for each in (*history, *others)}
    return [Slot(each, explain(each, due)) for each in history]


def _upcoming(job: Job, now_ms: int) -> list[int]:
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    return [round(each.timestamp()) * 1000 for each in islice(job.schedule.between(now, _FOREVER), NEXT)]


def _expression(job: Job) -> str:
    found = getattr(job.schedule, "expression", None)
    return found if isinstance(found, str) else ""


def _versions(kept: list[Version]) -> list[VersionRow]:
    last = kept[-VERSIONS - 1 :]
    differ = {new.number: changed_fields(old.job, new.job) for old, new in pairwise(last)}
    shown = reversed(last[-VERSIONS:])
    return [VersionRow(each, describe(each.job.schedule), tuple(differ.get(each.number, ()))) for each in shown]
