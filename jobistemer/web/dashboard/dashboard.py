"""The dashboard object that pages and actions share: namespace, settings, rendering."""

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
from jobistemer.web.security.authentication import Authenticator, Signer

FLASH_COOKIE = "jobistemer_said"
"""The cookie that carries the message of an action to the next page."""
FLASH_LIFETIME_S = 60
MAX_BY_LENGTH = 100


class Dashboard:
    """One dashboard: a namespace, the settings, and the keys that sign its cookies and forms."""

    def __init__(self, namespace: Namespace, settings: DashboardSettings) -> None:
        self.namespace = namespace
        self.read_only = settings.read_only
        self.authenticator = Authenticator(settings.token)
        self.signer = Signer()
        self.by = settings.by or f"{user_name()[: MAX_BY_LENGTH - 16]} by dashboard"
        # Checks the name: one that cannot be recorded is refused at the start, not with the first action.
        JobControl(namespace, self.by)

    @property
    def shards(self) -> list[Database]:
        """The shards of the namespace, connected. Raises NotConnected."""
        return self.namespace.shards

    def csrf_token(self, request: Request) -> str:
        """Return the token that forms carry, which shows that a page in this browser has sent them."""
        return self.signer.sign("form", request.state.session)

    def is_csrf_token(self, request: Request, token: str) -> bool:
        """Return whether a token is that of the session of a request."""
        return self.signer.verify("form", request.state.session, token)

    def render_page(self, request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """Render a page with the time of the server. Raises NotConnected."""
        return self.render(request, template, status, now_ms=self.shards[0].read_clock(), **values)

    def render(self, request: Request, template: str, status: int = 200, *, now_ms: int, **values: Any) -> HTMLResponse:
        """Render a page without another request to the server, so also while it does not answer."""
        # The login page is shown before the token is given: it must not tell the namespace or the address.
        is_admitted = self.authenticator.is_admitted(request)
        flash = self.signer.decode("said", request.cookies.get(FLASH_COOKIE, ""), FLASH_LIFETIME_S)
        context = {
            "path": request.url.path,
            "here": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            "now_ms": now_ms,
            "csrf": self.csrf_token(request),
            "flash": flash,
            "read_only": self.read_only,
            "namespace": self.namespace.name if is_admitted else "",
            "server": redact_url(self.namespace.url) if is_admitted else "",
            "version": __version__,
        }
        response = HTMLResponse(render_template(template, context | values), status)
        if flash is not None:
            response.delete_cookie(FLASH_COOKIE)
        return response


def get_dashboard(request: Request) -> Dashboard:
    """Return the dashboard of the application that serves a request."""
    dashboard: Dashboard = request.app.state.dashboard
    return dashboard
