"""One dashboard: what its pages and actions share."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse

from jobistemer import __version__
from jobistemer.control.jobs import JobControl
from jobistemer.runtime.process_info import user_name
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.store.server.connection import redact_url
from jobistemer.web.charts.templating import render_template
from jobistemer.web.dashboard.settings import DashboardSettings
from jobistemer.web.security.authentication import Authenticator
from jobistemer.web.security.signing import Signer

FLASH_COOKIE = "jobistemer_said"
"""The cookie by which an action tells the next page what it has done."""
MAX_BY_LENGTH = 100


class Dashboard:
    """The namespace that is shown, and how."""

    def __init__(self, namespace: Namespace, settings: DashboardSettings) -> None:
        self.namespace = namespace
        self.read_only = settings.read_only
        self.authenticator = Authenticator(settings.token)
        self.signer = Signer()
        self.by = settings.by or f"{user_name()[: MAX_BY_LENGTH - 16]} by dashboard"
        # Refused here, at the start, not with the first action.
        JobControl(namespace, self.by)

    @property
    def shards(self) -> list[Database]:
        """The shards of the namespace. Raises NotConnected."""
        return self.namespace.shards

    def csrf_token(self, request: Request) -> str:
        """What a form has to bring back to show that a page of this browser has sent it."""
        return self.signer.sign("form", request.state.session)

    def render_page(self, request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A page of the dashboard as it is now by the server's clock. Raises NotConnected."""
        return self.render(request, template, status, now_ms=self.shards[0].read_clock(), **values)

    def render(self, request: Request, template: str, status: int = 200, *, now_ms: int, **values: Any) -> HTMLResponse:
        """A page; nothing is asked of the server any more."""
        # Where a token is asked for, who has not given it yet need not know what is here.
        known = self.authenticator.is_admitted(request)
        flash = self.signer.decode("said", request.cookies.get(FLASH_COOKIE, ""))
        context = {
            "path": request.url.path,
            "here": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            "now_ms": now_ms,
            "csrf": self.csrf_token(request),
            "flash": flash,
            "read_only": self.read_only,
            "locked": self.authenticator.requires_token,
            "namespace": self.namespace.name if known else "",
            "server": redact_url(self.namespace.url) if known else "",
            "version": __version__,
        }
        response = HTMLResponse(render_template(template, context | values), status)
        if flash is not None:
            response.delete_cookie(FLASH_COOKIE)
        return response


def get_dashboard(request: Request) -> Dashboard:
    """The dashboard that a request is for."""
    found: Dashboard = request.app.state.dashboard
    return found
