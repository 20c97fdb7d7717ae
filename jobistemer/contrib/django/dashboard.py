"""The dashboard in a Django project's ASGI application, behind the login of its admin.

# shop/asgi.py
application = with_dashboard(get_asgi_application(), "/jobs/")
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY, aget_user
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.http import urlencode
from django.utils.module_loading import import_string

from jobistemer.contrib.asgi import Authorized
from jobistemer.contrib.django.project import get_app
from jobistemer.web import dashboard


def with_dashboard(application: Any, path: str = "/jobs/", *, read_only: bool = False) -> Any:
    """Return an ASGI application that has the dashboard under a path, and passes all else to `application`.

    Active members of the staff may look and act; audit lists name them. Others are sent to the login of the admin.
    Its hosts are ALLOWED_HOSTS. read_only: refuse actions. Raises Misconfigured.
    """
    prefix = "/" + path.strip("/")
    hosts = [host.lstrip(".") for host in settings.ALLOWED_HOSTS if host != "*"]
    inner = Authorized(dashboard(get_app(), hosts=hosts, read_only=read_only), _authorize)

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        found = scope.get("path", "")
        if scope["type"] == "http" and (found == prefix or found.startswith(prefix + "/")):
            await inner({**scope, "root_path": scope.get("root_path", "") + prefix}, receive, send)
        else:
            await application(scope, receive, send)

    return answer


async def _authorize(request: Any) -> Any:
    """Return the name of a member of the staff, or a redirect to the login."""
    from starlette.responses import RedirectResponse  # noqa: PLC0415 - comes with the extra `dashboard`

    found = HttpRequest()
    session = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
    found.session = session(request.cookies.get(settings.SESSION_COOKIE_NAME))
    has_session = await found.session.aget(SESSION_KEY) is not None
    user = await aget_user(found) if has_session else None
    if user is not None and user.is_active and user.is_staff:
        return user.get_username()
    if user is not None:
        return None
    try:
        login = reverse("admin:login")
    except NoReverseMatch:
        login = str(settings.LOGIN_URL)
    return RedirectResponse(f"{login}?{urlencode({'next': request.url.path})}", 303)
