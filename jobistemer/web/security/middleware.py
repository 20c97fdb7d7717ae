"""The middleware of the dashboard: checks every request, and adds security headers to every response."""

from __future__ import annotations

import secrets
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobistemer.web.security.authentication import Authenticator

SESSION_COOKIE: Final = "jobistemer_session"
SECURITY_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`: browsers then say that the origin of a form is `null`.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class DashboardMiddleware:
    """Refuses unknown hosts and unauthenticated requests, gives each browser a session, adds the headers."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str], authenticator: Authenticator) -> None:
        self._app = app
        self._hosts = hosts
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request, then pass it on or respond to it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        cookie = request.cookies.get(SESSION_COOKIE, "")
        # The session authenticates nobody: it ties the tokens of forms to one browser.
        request.state.session = cookie or secrets.token_urlsafe(24)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(MutableHeaders(scope=message), request, cookie)
            await send(message)

        await (self._refusal(request) or self._app)(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if self._hosts and _host_name(host) not in self._hosts:
            message = f"This dashboard does not answer to the name {_host_name(host)!r:.80}; --allow-host lets it.\n"
            return PlainTextResponse(message, 400)
        path = request.url.path
        if path == "/login" or path.startswith("/static/") or self._authenticator.is_admitted(request):
            return None
        return RedirectResponse("/login", 303) if request.method == "GET" else PlainTextResponse("Log in first.\n", 401)


def _add_headers(headers: MutableHeaders, request: Request, cookie: str) -> None:
    for name, value in SECURITY_HEADERS.items():
        headers[name] = value
    headers["Cache-Control"] = "max-age=3600" if request.url.path.startswith("/static/") else "no-store"
    if not cookie:
        headers.append("Set-Cookie", f"{SESSION_COOKIE}={request.state.session}; Path=/; HttpOnly; SameSite=Strict")


def is_same_origin(request: Request) -> bool:
    """Return whether a form comes from a page of this dashboard, as far as the browser reports its origin."""
    origin = request.headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc == request.headers.get("host", "")
    return request.headers.get("sec-fetch-site", "same-origin") == "same-origin"


def _host_name(host: str) -> str:
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()
