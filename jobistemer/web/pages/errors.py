"""Errors as pages: what was wrong, and what to do."""

from __future__ import annotations

import time
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from jobistemer.core.errors import Conflict, InvalidInput, JobistemerError, NotConnected, NotFound, ServerRefused
from jobistemer.web.dashboard.dashboard import of
from jobistemer.web.security.middleware import HEADERS

_STATUS: Final[tuple[tuple[type[JobistemerError], int, str], ...]] = (
    (NotFound, 404, "Not found"),
    (InvalidInput, 400, "Not accepted"),
    (Conflict, 409, "Somebody was there first"),
    (NotConnected, 503, "The server does not answer"),
    (ServerRefused, 503, "The server has refused this"),
)
_TITLES: Final = {403: "Refused", 404: "Not found", 405: "Not so", 413: "Too much"}


def refused(request: Request, error: Exception) -> Response:
    """The page for an error of Jobistemer's own."""
    for kind, status, title in _STATUS:
        if isinstance(error, kind):
            return _page(request, status, title, str(error))
    raise error


def not_done(request: Request, error: Exception) -> Response:
    """The page for what HTTP has a number for."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    said = error.detail if isinstance(error, HTTPException) else ""
    return _page(request, status, _TITLES.get(status, "Not done"), said)


def failed(request: Request, _error: Exception) -> Response:
    """The page for an error of the dashboard; its trace is for the log, where the server puts it."""
    response = _page(request, 500, "The dashboard has failed", "That is a fault of the dashboard; its log says more.")
    # What is answered here does not go by the guard any more.
    response.headers.update(HEADERS)
    return response


def _page(request: Request, status: int, title: str, said: str) -> Response:
    # The server may be the very thing that is away: this is by the clock of this machine.
    now_ms = round(time.time() * 1000)
    response = of(request).draw(request, "error.html", status, now_ms=now_ms, title=title, message=said)
    if status == 503:
        response.headers["Retry-After"] = "5"
    return response
