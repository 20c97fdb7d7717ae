"""Who works here: workers and tickers with their last beat."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from jobistemer.store import census
from jobistemer.web.dashboard import of


def members_page(request: Request) -> Response:
    """The page."""
    dashboard = of(request)
    shards = dashboard.shards
    return dashboard.page(
        request, "workers.html", workers=census.list_workers(shards), tickers=census.list_tickers(shards)
    )
