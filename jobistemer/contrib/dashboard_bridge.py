"""The dashboard in frameworks that call a function for each request, such as Django and Flask, also under WSGI.

The dashboard is an ASGI application that answers each request at once and keeps nothing between requests in an event
loop. So each request has a loop of its own in the thread of the framework: nothing is started beside it, and processes
may fork at any time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from jobistemer.web.shared.settings import USER_SCOPE


class BridgedRequest(NamedTuple):
    """One request. root: the path of the dashboard; path: the whole one, which begins with it; both are decoded.

    user: who has logged in, empty where no login is needed: a signed link names the person who answers.
    """

    method: str
    scheme: str
    host: str
    root: str
    path: str
    query: str
    headers: Iterable[tuple[str, str]]
    body: bytes
    client: str
    user: str


class BridgedAnswer(NamedTuple):
    """The answer to a request; a name may be among the headers several times."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def call_dashboard(dashboard: Any, request: BridgedRequest) -> BridgedAnswer:
    """Have the dashboard answer a request, in the current thread."""
    return asyncio.run(_call(dashboard, request))


async def _call(dashboard: Any, request: BridgedRequest) -> BridgedAnswer:
    start: dict[str, Any] = {}
    parts: list[bytes] = []

    bodies = iter([request.body])

    async def receive() -> dict[str, Any]:
        for body in bodies:
            return {"type": "http.request", "body": body, "more_body": False}
        # As far as is known here, the browser stays until it has its answer; what waits for its leaving is cancelled.
        return await asyncio.Future()

    async def send(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            parts.append(message.get("body", b""))

    await dashboard(_build_scope(request), receive, send)
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]]
    return BridgedAnswer(start["status"], headers, b"".join(parts))


def _build_scope(request: BridgedRequest) -> dict[str, Any]:
    given = (each for each in request.headers if each[0].lower() != "host")
    # The host that the framework has checked: behind a proxy it may stand in another header.
    headers = [("host", request.host), *given]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.scheme,
        "path": request.path,
        "raw_path": None,
        "root_path": request.root,
        "query_string": request.query.encode("latin-1", "replace"),
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers],
        "client": (request.client, 0),
        "server": None,
        USER_SCOPE: request.user,
    }
