"""Who works here: workers and tickers with their last beat."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from jobistemer.store.reads import queues
from jobistemer.web.dashboard.dashboard import of


def members_page(request: Request) -> Response:
    """The page."""
    dashboard = of(request)
    shards = dashboard.shards
    return dashboard.page(
        request, "workers.html", workers=queues.list_workers(shards), tickers=queues.list_tickers(shards)
    )
