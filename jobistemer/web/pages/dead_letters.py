"""Dead letters: runs that are out of attempts."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from jobistemer.app import DeadLetters
from jobistemer.store.actions import dead_letters
from jobistemer.web.dashboard.dashboard import get_dashboard
from jobistemer.web.dashboard.pagination import read_page

LETTERS_PER_PAGE = 50


def dead_letters_page(request: Request) -> Response:
    """The page, those that died last first."""
    dashboard = get_dashboard(request)
    letters = DeadLetters(dashboard.namespace)
    page = read_page(request, LETTERS_PER_PAGE, letters.page)
    return dashboard.render_page(request, "dead.html", page=page, total=dead_letters.count_dead(dashboard.shards))
