"""Logging in with the token of the dashboard, and out again."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from jobistemer.web.pages.actions import check_form
from jobistemer.web.security.authentication import AUTH_LIFETIME_S, AccessDecision, client_address
from jobistemer.web.security.visit import get_visit
from jobistemer.web.shared.dashboard import get_dashboard
from jobistemer.web.shared.forms import first_value, local_path, read_form


def login_page(request: Request) -> Response:
    """Render the form that asks for the token; it leads on to where the visitor wanted to go."""
    if not get_dashboard(request).authenticator.requires_token:
        return RedirectResponse(f"{get_visit(request).root}/", 303)
    return _render_login(request, 200, "", request.query_params.get("next", ""))


async def log_in(request: Request) -> Response:
    """Check the token in a form and set the cookie with a pass."""
    form = await read_form(request)
    check_form(request, form)
    authenticator, wanted = get_dashboard(request).authenticator, first_value(form, "next")
    judged = authenticator.check_token(first_value(form, "token"), client_address(request))
    if judged is AccessDecision.WAITS:
        wait_s = max(1, authenticator.throttle.wait_s(client_address(request)))
        answer = _render_login(request, 429, f"Too many wrong tokens: try again in {wait_s} s.", wanted)
        answer.headers["Retry-After"] = str(wait_s)
        return answer
    if judged is not AccessDecision.ADMITTED:
        return _render_login(request, 401, "That is not the token.", wanted)
    visit = get_visit(request)
    visit.renew_session()
    response = RedirectResponse(visit.root + local_path(wanted), 303)
    visit.cookies.set_on(response, visit.cookies.auth, authenticator.issue_pass(), AUTH_LIFETIME_S)
    return response


async def log_out(request: Request) -> Response:
    """Let the browser forget its pass."""
    form = await read_form(request)
    check_form(request, form)
    visit = get_visit(request)
    visit.renew_session()
    response = RedirectResponse(f"{visit.root}/", 303)
    visit.cookies.delete_on(response, visit.cookies.auth)
    return response


def _render_login(request: Request, status: int, message: str, wanted: str) -> Response:
    return get_dashboard(request).render_offline(
        request, "login.html", status, message=message, wanted=local_path(wanted)
    )
