"""Coming in with the token."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from jobistemer.web.dashboard.dashboard import of
from jobistemer.web.dashboard.forms import first, read_form
from jobistemer.web.pages.actions import check_form
from jobistemer.web.security.authentication import COOKIE, LASTS_S


def login_page(request: Request) -> Response:
    """Ask for the token."""
    if not of(request).entrance.is_locked:
        return RedirectResponse("/", 303)
    return _page(request, 200, "")


async def log_in(request: Request) -> Response:
    """Give a pass to whoever knows it."""
    form = await read_form(request)
    check_form(request, form)
    entrance = of(request).entrance
    if not entrance.knows(first(form, "token")):
        return _page(request, 401, "That is not the token.")
    response = RedirectResponse("/", 303)
    response.set_cookie(COOKIE, entrance.issue(), max_age=LASTS_S, httponly=True, samesite="strict")
    return response


def _page(request: Request, status: int, message: str) -> Response:
    return of(request).draw(request, "login.html", status, now_ms=round(time.time() * 1000), message=message)
