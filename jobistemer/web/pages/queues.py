"""Queues with what waits in them, and what is on hold."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from jobistemer.store.calls import holds
from jobistemer.store.keys import FRONT
from jobistemer.store.reads import jobs, queues
from jobistemer.web.dashboard.dashboard import of


def queues_page(request: Request) -> Response:
    """The page."""
    dashboard = of(request)
    shards = dashboard.shards
    return dashboard.page(
        request,
        "queues.html",
        queues=queues.list_queues(shards),
        delayed_total=jobs.delayed_total(shards),
        holds=holds.list_holds(shards),
        front=FRONT,
    )
