"""The routes of a dashboard."""

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
    dead_letters,
    errors,
    jobs,
    login,
    occurrences,
    overview,
    queues,
    runs,
    search,
    workers,
)
from jobistemer.web.security.middleware import DashboardMiddleware

STATIC = Path(__file__).parent / "static"


def make_application(namespace: Namespace, settings: DashboardSettings | None = None) -> Starlette:
    """The dashboard of a namespace as an ASGI application; nothing is connected before the first page is asked for."""
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
    # Plain functions, which starlette runs in threads of its own: the store waits for the server.
    return [
        Route("/", overview.overview_page),
        Route("/jobs", jobs.jobs_page),
        # Names of jobs may have slashes.
        Route("/jobs/{name:path}", jobs.job_page),
        Route("/occurrences/{occurrence}", occurrences.occurrence_page),
        Route("/queues", queues.queues_page),
        Route("/runs", runs.runs_page),
        Route("/runs/{run}", runs.run_page),
        Route("/dead", dead_letters.dead_letters_page),
        Route("/workers", workers.members_page),
        Route("/find", search.search),
        Route("/actions/{action}", actions.handle_action, methods=["POST"]),
        Route("/login", login.login_page, methods=["GET"]),
        Route("/login", login.log_in, methods=["POST"]),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
