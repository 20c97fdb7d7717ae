"""The view of the dashboard, behind the login of the project; see `jobistemer.contrib.django.urls`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.views.decorators.csrf import csrf_exempt

from jobistemer.contrib.dashboard_bridge import BridgedRequest, call_dashboard
from jobistemer.contrib.django.project import get_app
from jobistemer.web import dashboard
from jobistemer.web.security.hosts import read_host
from jobistemer.web.security.middleware import needs_login

MAY_LOOK = "jobistemer.view_dashboardlink"
MAY_ACT = "jobistemer.change_dashboardlink"


# Forms of the dashboard carry a mark of its own.
@csrf_exempt  # type: ignore[untyped-decorator] # Django has no types of its own
def show_dashboard(request: HttpRequest, path: str, *, read_only: bool = False) -> HttpResponse:
    """Answer a request for a page of the dashboard, or an action on it, under WSGI and ASGI.

    Members of the staff with the permission `jobistemer.view_dashboardlink` may look, those with
    `jobistemer.change_dashboardlink` may act too; audit lists name them. Visitors without a login are sent to that of
    the admin, or to LOGIN_URL where there is none; a signed link opens its question without a login. read_only: refuse
    all actions. Raises PermissionDenied.
    """
    user = getattr(request, "user", None)
    if not needs_login(f"/{path}"):
        return _call_dashboard(request, path, "", read_only=read_only)
    if user is None or not user.is_authenticated:
        return redirect_to_login(request.get_full_path(), _find_login())
    may_act = user.has_perm(MAY_ACT)
    if not (user.is_active and user.is_staff and (may_act or user.has_perm(MAY_LOOK))):
        raise PermissionDenied("You may not look at the jobs.")
    return _call_dashboard(request, path, user.get_username(), read_only=read_only or not may_act)


def _call_dashboard(request: HttpRequest, path: str, user: str, *, read_only: bool) -> HttpResponse:
    host = request.get_host()
    asked = BridgedRequest(
        method=request.method,
        scheme=request.scheme,
        host=host,
        root=request.path.removesuffix(path).rstrip("/"),
        path=request.path,
        query=request.META.get("QUERY_STRING", ""),
        headers=request.headers.items(),
        body=request.body,
        client=request.META.get("REMOTE_ADDR", ""),
        user=user,
    )
    answer = call_dashboard(_make_dashboard(host, read_only=read_only), asked)
    response = HttpResponse(answer.body, status=answer.status)
    del response["Content-Type"]
    for name, value in answer.headers:
        _add_header(response, name, value)
    return response


@lru_cache(maxsize=8)
def _make_dashboard(host: str, *, read_only: bool) -> Any:
    """Return the dashboard under a name of the site, which Django has compared with ALLOWED_HOSTS."""
    found = read_host([(b"host", host.encode("latin-1", "replace"))])
    # A name that is an address is known to the dashboard anyway.
    names = [found.name] if found is not None and not found.name.startswith("[") else []
    return dashboard(get_app(), hosts=names, read_only=read_only)


def _find_login() -> str:
    try:
        return str(reverse("admin:login"))
    except NoReverseMatch:
        return str(settings.LOGIN_URL)


def _add_header(response: HttpResponse, name: str, value: str) -> None:
    """Add a header to a response; those that may be there several times are cookies."""
    if name.lower() == "set-cookie":
        response.cookies.load(value)
    else:
        response[name] = value
