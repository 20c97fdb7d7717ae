"""Queues with what waits in them, and what is on hold."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from jobistemer.store.calls import holds
from jobistemer.store.keys import FRONT
from jobistemer.store.reads import jobs, queues
from jobistemer.web.dashboard.dashboard import get_dashboard


def queues_page(request: Request) -> Response:
    """The page."""
    dashboard = get_dashboard(request)
    shards = dashboard.shards
    return dashboard.render_page(
        request,
        "queues.html",
        queues=queues.list_queues(shards),
        delayed_total=jobs.count_delayed(shards),
        holds=holds.list_holds(shards),
        front=FRONT,
    )
