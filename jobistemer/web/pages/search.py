"""The search field: it redirects to the page of a name or an id, or lists what matches a part of a name."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from jobistemer.core import ids
from jobistemer.store.reads import entries, jobs
from jobistemer.store.reads.ended_runs import list_dead_runs
from jobistemer.store.reads.job_states import JobState
from jobistemer.web.charts.templating import quote_segment
from jobistemer.web.security.visit import get_visit
from jobistemer.web.shared.dashboard import get_dashboard

MAX_MATCHES: Final = 50
_PATHS = {"occ_": "occurrences", "run_": "runs"}


def search(request: Request) -> Response:
    """Redirect to an occurrence or a run by its id, or to a job by its name; else list jobs and runs that match."""
    root, query = get_visit(request).root, request.query_params.get("q", "").strip()
    if not query:
        return RedirectResponse(f"{root}/jobs", 303)
    if query[:4] in _PATHS:
        # Ids of attempts are not among them: an attempt is shown on the page of its run, which its id does not contain.
        return RedirectResponse(f"{root}/{_PATHS[query[:4]]}/{quote_segment(query)}", 303)
    dashboard = get_dashboard(request)
    shards = dashboard.shards
    known = dashboard.job_watch.look(shards).jobs
    found = find_jobs(known, query)
    if any(job.name == query for job in known) or (len(found) == 1 and found[0].name.casefold() == query.casefold()):
        name = query if any(job.name == query for job in known) else found[0].name
        return RedirectResponse(f"{root}/jobs/{quote_segment(name)}", 303)
    wanted = query.casefold()
    runs = [run for run in entries.list_entries(shards) if wanted in run.handler.casefold()]
    delayed = [run for run in jobs.list_delayed(shards, MAX_MATCHES) if wanted in run.handler.casefold()]
    dead = [run for run in list_dead_runs(shards) if wanted in run.task.casefold()]
    return dashboard.render_page(
        request,
        "search.html",
        query=query,
        jobs=found[:MAX_MATCHES],
        more=max(0, len(found) - MAX_MATCHES),
        is_attempt=query.startswith("attempt_"),
        runs=[*((run.id, run.handler, "running" if run.worker else "pending") for run in runs[:MAX_MATCHES]),
              *((run.id, run.handler, run.state) for run in delayed),
              *((run.id, run.task, run.state) for run in dead[:MAX_MATCHES])],
    )  # fmt: skip


def find_jobs(known: list[JobState], query: str) -> list[JobState]:
    """Return the jobs whose names contain a text, whatever its case, or whose id it is."""
    wanted = query.casefold()
    return sorted(
        (job for job in known if wanted in job.name.casefold() or query in {job.id, ids.job_id(job.name)}),
        key=lambda job: job.name,
    )
