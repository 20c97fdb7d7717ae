"""Queues with what waits in them, and what is on hold."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from jobistemer.store import census, holds, listings
from jobistemer.store.keys import FRONT
from jobistemer.web.dashboard import of


def queues_page(request: Request) -> Response:
    """The page."""
    dashboard = of(request)
    shards = dashboard.shards
    return dashboard.page(
        request,
        "queues.html",
        queues=census.list_queues(shards),
        delayed_total=listings.delayed_total(shards),
        holds=holds.list_holds(shards),
        front=FRONT,
    )
