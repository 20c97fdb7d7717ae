"""Error pages: they say what was wrong and what to do."""

from __future__ import annotations

from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from jobistemer.core.errors import Conflict, InvalidInput, JobistemerError, NotConnected, NotFound, ServerRefused
from jobistemer.web.security.middleware import SECURITY_HEADERS
from jobistemer.web.shared.dashboard import get_dashboard

_STATUS_BY_ERROR: Final[tuple[tuple[type[JobistemerError], int, str], ...]] = (
    (NotFound, 404, "Not found"),
    (InvalidInput, 400, "Not accepted"),
    (Conflict, 409, "Somebody was there first"),
    (NotConnected, 503, "The server does not answer"),
    (ServerRefused, 503, "The server has refused this"),
)
_TITLES: Final = {403: "Refused", 404: "Not found", 405: "Not so", 413: "Too much"}


def handle_jobistemer_error(request: Request, error: Exception) -> Response:
    """Render an error of Jobistemer. Raises it again when there is no status for its class."""
    for kind, status, title in _STATUS_BY_ERROR:
        if isinstance(error, kind):
            return _render_error(request, status, title, str(error))
    raise error


def handle_http_error(request: Request, error: Exception) -> Response:
    """Render an error that has an HTTP status."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    message = error.detail if isinstance(error, HTTPException) else ""
    return _render_error(request, status, _TITLES.get(status, "Not done"), message)


def handle_unexpected_error(request: Request, _error: Exception) -> Response:
    """Render a fault of the dashboard itself, without its traceback: the server writes that to the log."""
    response = _render_error(
        request, 500, "The dashboard has failed", "That is a fault of the dashboard; its log says more."
    )
    # Starlette calls this handler outside of all middleware, so DashboardMiddleware does not see this response.
    response.headers.update(SECURITY_HEADERS)
    return response


def _render_error(request: Request, status: int, title: str, message: str) -> Response:
    response = get_dashboard(request).render_offline(request, "error.html", status, title=title, message=message)
    if status == 503:
        response.headers["Retry-After"] = "5"
    return response
