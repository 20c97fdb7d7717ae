"""The pages that are one list: queues, dead letters, changes, the quarantine, and the workers and tickers that run."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from jobistemer.control.changes import ChangeList
from jobistemer.control.dead_letters import DeadLetters
from jobistemer.control.quarantine import Quarantine
from jobistemer.store.actions import dead_letters
from jobistemer.store.calls import holds
from jobistemer.store.keys import FRONT
from jobistemer.store.reads import queues
from jobistemer.store.reads.limited_runs import read_limit_use
from jobistemer.store.reads.queues_snapshot import snapshot_queues
from jobistemer.web.shared.dashboard import get_dashboard
from jobistemer.web.shared.pagination import read_page

CHANGES_PER_PAGE, DEAD_LETTERS_PER_PAGE, QUARANTINED_PER_PAGE = 50, 50, 50


def queues_page(request: Request) -> Response:
    """Render the queues with the runs that wait in them, and the holds."""
    dashboard = get_dashboard(request)
    shards = dashboard.shards
    now_ms = shards[0].read_clock()
    return dashboard.render(
        request,
        "queues.html",
        now_ms=now_ms,
        queues=queues.list_queues(shards),
        oldest={each.name: each.oldest_at for each in snapshot_queues(shards, 0)[0]},
        served=queues.find_served_queues(queues.list_workers(shards), now_ms),
        limits=read_limit_use(shards),
        holds=holds.list_holds(shards),
        front=FRONT,
    )


def dead_letters_page(request: Request) -> Response:
    """Render the runs that are out of attempts, the latest first."""
    dashboard = get_dashboard(request)
    page = read_page(request, DEAD_LETTERS_PER_PAGE, DeadLetters(dashboard.namespace).page)
    return dashboard.render_page(request, "dead.html", page=page, total=dead_letters.count_dead(dashboard.shards))


def quarantine_page(request: Request) -> Response:
    """Render what was put aside because it cannot be read, the latest first."""
    dashboard = get_dashboard(request)
    found = Quarantine(dashboard.namespace).list()
    page = read_page(request, QUARANTINED_PER_PAGE, lambda offset, limit: found[offset : offset + limit])
    return dashboard.render_page(request, "quarantine.html", page=page, total=len(found))


def changes_page(request: Request) -> Response:
    """Render what people have changed, the latest first."""
    dashboard = get_dashboard(request)
    page = read_page(request, CHANGES_PER_PAGE, ChangeList(dashboard.namespace).list)
    return dashboard.render_page(request, "changes.html", page=page)


def workers_page(request: Request) -> Response:
    """Render the workers and tickers with their last beat."""
    dashboard = get_dashboard(request)
    shards = dashboard.shards
    return dashboard.render_page(
        request, "workers.html", workers=queues.list_workers(shards), tickers=queues.list_tickers(shards)
    )
