"""Dead letters: runs that are out of attempts."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from jobistemer.app import DeadLetters
from jobistemer.store.actions import dead_letters
from jobistemer.web.dashboard.dashboard import of
from jobistemer.web.dashboard.pagination import paged

LETTERS_A_PAGE = 50


def letters_page(request: Request) -> Response:
    """The page, those that died last first."""
    dashboard = of(request)
    letters = DeadLetters(dashboard.namespace)
    page = paged(request, LETTERS_A_PAGE, letters.page)
    return dashboard.page(request, "dead.html", page=page, total=dead_letters.dead_total(dashboard.shards))
