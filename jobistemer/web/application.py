"""The ASGI application of a dashboard: its routes, middleware and error pages."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from jobistemer.core.errors import JobistemerError
from jobistemer.store.namespace import Namespace
from jobistemer.web.dashboard.dashboard import Dashboard
from jobistemer.web.dashboard.settings import DashboardSettings
from jobistemer.web.pages import (
    actions,
    errors,
    jobs,
    lists,
    login,
    occurrences,
    overview,
    runs,
    search,
)
from jobistemer.web.security.middleware import DashboardMiddleware

STATIC = Path(__file__).parent / "static"


def make_application(namespace: Namespace, settings: DashboardSettings | None = None) -> Starlette:
    """Build the dashboard of a namespace as an ASGI application. It connects with the first request for a page.

    settings: by default those of a dashboard on loopback, without a token.
    """
    chosen = settings or DashboardSettings()
    dashboard = Dashboard(namespace, chosen)
    application = Starlette(
        routes=_routes(),
        middleware=[Middleware(DashboardMiddleware, hosts=chosen.hosts, authenticator=dashboard.authenticator)],
        exception_handlers={
            JobistemerError: errors.handle_jobistemer_error,
            HTTPException: errors.handle_http_error,
            Exception: errors.handle_unexpected_error,
        },
    )
    application.state.dashboard = dashboard
    return application


def _routes() -> list[Route | Mount]:
    # Pages are plain functions, so starlette runs them in threads: the store blocks until the server answers, and in a
    # coroutine it would block all other requests with it.
    return [
        Route("/", overview.overview_page),
        Route("/jobs", jobs.jobs_page),
        # The converter `path`, since names of jobs may contain slashes.
        Route("/jobs/{name:path}", jobs.job_page),
        Route("/occurrences/{occurrence}", occurrences.occurrence_page),
        Route("/queues", lists.queues_page),
        Route("/runs", runs.runs_page),
        Route("/runs/{run}", runs.run_page),
        Route("/dead", lists.dead_letters_page),
        Route("/workers", lists.workers_page),
        Route("/find", search.search),
        Route("/actions/{action}", actions.handle_action, methods=["POST"]),
        Route("/login", login.login_page, methods=["GET"]),
        Route("/login", login.log_in, methods=["POST"]),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
