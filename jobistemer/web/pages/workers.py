"""Who works here: workers and tickers with their last beat."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from jobistemer.store.reads import queues
from jobistemer.web.dashboard.dashboard import get_dashboard


def members_page(request: Request) -> Response:
    """The page."""
    dashboard = get_dashboard(request)
    shards = dashboard.shards
    return dashboard.render_page(
        request, "workers.html", workers=queues.list_workers(shards), tickers=queues.list_tickers(shards)
    )
