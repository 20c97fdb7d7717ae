"""The ASGI application of a dashboard: its routes, middleware and error pages."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from jobistemer.core.errors import JobistemerError
from jobistemer.store.namespace import Namespace
from jobistemer.web.pages import (
    actions,
    errors,
    jobs,
    lists,
    login,
    occurrences,
    overview,
    questions,
    runs,
    search,
)
from jobistemer.web.security.middleware import DashboardMiddleware
from jobistemer.web.shared.dashboard import Dashboard
from jobistemer.web.shared.deadline import in_time
from jobistemer.web.shared.settings import DashboardSettings
from jobistemer.web.shared.static_files import STATIC


def make_application(namespace: Namespace, settings: DashboardSettings | None = None) -> Starlette:
    """Build the dashboard of a namespace as an ASGI application. It connects with the first request for a page.

    settings: by default those of a dashboard on loopback, without a token.
    """
    chosen = settings or DashboardSettings()
    dashboard = Dashboard(namespace, chosen)
    application = Starlette(
        routes=_routes(),
        middleware=[
            Middleware(
                DashboardMiddleware,
                namespace=namespace.name,
                hosts=chosen.hosts,
                authenticator=dashboard.authenticator,
                root_path=chosen.root_path,
            ),
            # The size of a page could tell the mark of its forms to whoever can put texts of his own on it and have the
            # page loaded; cookies that are `SameSite=Strict` keep other sites from that.
            Middleware(GZipMiddleware, minimum_size=1_000, compresslevel=5),
        ],
        exception_handlers={
            JobistemerError: errors.handle_jobistemer_error,
            HTTPException: errors.handle_http_error,
            Exception: errors.handle_unexpected_error,
        },
    )
    application.state.dashboard = dashboard
    return application


def _routes() -> list[Route | Mount]:
    return [
        Route("/", in_time(overview.overview_page)),
        Route("/jobs", in_time(jobs.jobs_page)),
        # The converter `path`, since names of jobs may contain slashes.
        Route("/jobs/{name:path}", in_time(jobs.job_page)),
        Route("/occurrences/{occurrence}", in_time(occurrences.occurrence_page)),
        Route("/queues", in_time(lists.queues_page)),
        Route("/runs", in_time(runs.runs_page)),
        Route("/runs/ended", in_time(runs.ended_runs_page)),
        Route("/runs/{run}", in_time(runs.run_page)),
        Route("/dead", in_time(lists.dead_letters_page)),
        Route("/workers", in_time(lists.workers_page)),
        Route("/changes", in_time(lists.changes_page)),
        Route("/questions", in_time(questions.questions_page)),
        Route("/answer/{link}", in_time(questions.answer_page), methods=["GET"]),
        Route("/answer/{link}", questions.send_answer, methods=["POST"]),
        Route("/quarantine", in_time(lists.quarantine_page)),
        Route("/find", in_time(search.search)),
        Route("/actions/{action}", actions.handle_action, methods=["POST"]),
        Route("/login", login.login_page, methods=["GET"]),
        Route("/login", login.log_in, methods=["POST"]),
        Route("/logout", login.log_out, methods=["POST"]),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
