"""Logging in with the token of the dashboard."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from jobistemer.web.dashboard.dashboard import get_dashboard
from jobistemer.web.dashboard.forms import first_value, read_form
from jobistemer.web.pages.actions import check_form
from jobistemer.web.security.authentication import AUTH_COOKIE, AUTH_LIFETIME_S


def login_page(request: Request) -> Response:
    """Render the form that asks for the token."""
    if not get_dashboard(request).authenticator.requires_token:
        return RedirectResponse("/", 303)
    return _render_login(request, 200, "")


async def log_in(request: Request) -> Response:
    """Check the token in a form and set the cookie with a pass."""
    form = await read_form(request)
    check_form(request, form)
    authenticator = get_dashboard(request).authenticator
    if not authenticator.is_token(first_value(form, "token")):
        return _render_login(request, 401, "That is not the token.")
    response = RedirectResponse("/", 303)
    response.set_cookie(
        AUTH_COOKIE, authenticator.issue_pass(), max_age=AUTH_LIFETIME_S, httponly=True, samesite="strict"
    )
    return response


def _render_login(request: Request, status: int, message: str) -> Response:
    return get_dashboard(request).render(
        request, "login.html", status, now_ms=round(time.time() * 1000), message=message
    )
