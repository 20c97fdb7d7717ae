"""The middleware of the dashboard: checks every request, and adds security headers to every response."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobistemer.web.security.authentication import AccessDecision, Authenticator, client_address
from jobistemer.web.security.cookies import name_cookies
from jobistemer.web.security.hosts import Host, is_known_host, read_host
from jobistemer.web.security.visit import Visit, get_visit

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
_LOGIN, _STATIC, _ANSWER = "/login", "/static/", "/answer/"
_YEAR_S: Final = 31_536_000


class DashboardMiddleware:
    """Refuses unknown hosts and unauthenticated requests, gives each browser a session, adds the headers.

    root_path: the path under which a proxy shows the dashboard; requests arrive with it.
    """

    def __init__(
        self, app: ASGIApp, namespace: str, hosts: frozenset[str], authenticator: Authenticator, root_path: str = ""
    ) -> None:
        self._app = app
        self._namespace = namespace
        self._hosts = hosts
        self._authenticator = authenticator
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request, then pass it on or respond to it."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Before anything else: what is no host must not reach code that builds addresses from it.
        host = read_host(scope["headers"])
        refusal = _refuse_host(host, self._hosts)
        if host is None or refusal is not None:
            await _respond(refusal or PlainTextResponse("", 400), scope, receive, send)
            return
        # In place: what handles an error outside of this has the scope that it was given.
        scope["root_path"] = scope.get("root_path", "") + self._root_path
        scope["path"] = restore_path(scope)
        path = route_path(scope["path"], scope["root_path"])
        if path is None:
            text = f"The dashboard is at {scope['root_path']}/ here.\n"
            await _respond(PlainTextResponse(text, 404), scope, receive, send)
            return
        request = self._prepare(scope, host, path)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(MutableHeaders(scope=message), request)
            await send(message)

        await (self._refuse_stranger(request) or self._app)(scope, receive, send_with_headers)

    def _prepare(self, scope: Scope, host: Host, path: str) -> Request:
        request, root = Request(scope), scope["root_path"]
        names = name_cookies(self._namespace, root, host.port, secure=scope.get("scheme") == "https")
        visit = Visit(root, path, names, request.cookies.get(names.session, ""))
        if not visit.session:
            visit.renew_session()
        request.state.jobistemer_visit = visit
        return request

    def _refuse_stranger(self, request: Request) -> Response | None:
        visit = get_visit(request)
        if visit.path == _LOGIN or not needs_login(visit.path):
            return None
        visit.admission = self._authenticator.admit(request, visit.cookies)
        if visit.admission is AccessDecision.ADMITTED:
            return None
        if visit.admission is AccessDecision.WAITS:
            wait_s = self._authenticator.throttle.wait_s(client_address(request))
            headers = {"Retry-After": str(max(1, wait_s))}
            return PlainTextResponse(f"Too many wrong tokens; try again in {wait_s} s.\n", 429, headers)
        if _is_browser(request):
            query = request.scope["query_string"].decode("latin-1")
            wanted = quote(visit.path + (f"?{query}" if query else ""))
            return RedirectResponse(f"{visit.root}{_LOGIN}?next={wanted}", 303)
        headers = {"WWW-Authenticate": 'Bearer realm="Jobistemer dashboard"'}
        return PlainTextResponse("Log in first, or send Authorization: Bearer and the token.\n", 401, headers)


def needs_login(path: str) -> bool:
    """Return whether a path within the dashboard is for its users alone.

    A link to one question is signed and opens nothing else: who has it need not be a user of the dashboard.
    """
    return not path.startswith((_STATIC, _ANSWER))


def route_path(path: str, root: str) -> str | None:
    """Return the path of a request within the dashboard; None for one that is not under its root path.

    It is made of the scope, never of the address of the request: a framework builds that with the Host header.
    """
    if path == root:
        return "/"
    return path[len(root) :] if path.startswith(f"{root}/") else None


def restore_path(scope: Scope) -> str:
    """Return the path of a request with the prefix that a proxy has taken away.

    An application that is given `root_path` for the addresses of its links gets requests without it from such a proxy.
    What is mounted in it finds a root path that its requests do not have.
    """
    path: str = scope["path"]
    root, outer = scope["root_path"], scope.get("app_root_path", "")
    is_stripped = bool(outer) and root.startswith(outer) and route_path(path, root) is None
    return f"{outer}{path}" if is_stripped and route_path(path, root[len(outer) :]) is not None else path


def is_same_origin(request: Request) -> bool:
    """Return whether a form comes from a page of this dashboard, as far as the browser reports its origin."""
    origin = request.headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
    return request.headers.get("sec-fetch-site", "same-origin") == "same-origin"


async def _respond(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    response.headers.update({**SECURITY_HEADERS, "Cache-Control": "no-store"})
    await response(scope, receive, send)


def _refuse_host(host: Host | None, names: frozenset[str]) -> Response | None:
    if host is None:
        return PlainTextResponse("The Host header of this request names no host.\n", 400)
    if not is_known_host(host, names):
        message = f"This dashboard does not answer to the name {host.name!r:.80}; --allow-host (or hosts=) lets it.\n"
        return PlainTextResponse(message, 400)
    return None


def _is_browser(request: Request) -> bool:
    # A browser that follows a link says that it takes pages; a program that sends a token is no browser.
    takes_pages = "text/html" in request.headers.get("accept", "")
    return request.method in {"GET", "HEAD"} and takes_pages and "authorization" not in request.headers


def _add_headers(headers: MutableHeaders, request: Request) -> None:
    for name, value in SECURITY_HEADERS.items():
        headers[name] = value
    visit = get_visit(request)
    if visit.path.startswith(_STATIC):
        # The address of a file holds a mark of its content. No cookie: a shared cache would hand it to others.
        is_marked = request.scope["query_string"].startswith(b"v=")
        headers["Cache-Control"] = f"public, max-age={_YEAR_S}, immutable" if is_marked else "max-age=3600"
        return
    headers["Cache-Control"] = "no-store"
    if visit.is_new_session:
        response = Response()
        visit.cookies.set_on(response, visit.cookies.session, visit.session)
        headers.append("Set-Cookie", response.headers["set-cookie"])
