"""The dashboard object that pages and actions share: namespace, settings, rendering."""

from __future__ import annotations

import math
import re
import time
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from jobistemer import __version__
from jobistemer.control.jobs import JobControl
from jobistemer.core.errors import InvalidInput, ServerRefused
from jobistemer.core.safe_text import escape_text
from jobistemer.runtime.process_info import user_name
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.store.server.connection import redact_url
from jobistemer.store.shared_secrets import read_shared_secret
from jobistemer.web.charts.templating import render_template
from jobistemer.web.security.authentication import AccessDecision, Authenticator
from jobistemer.web.security.signing import Signer
from jobistemer.web.security.visit import get_visit
from jobistemer.web.shared.deadline import PageThreads
from jobistemer.web.shared.end_counts import EndCounts
from jobistemer.web.shared.job_watch import JobWatch
from jobistemer.web.shared.settings import USER_SCOPE, DashboardSettings
from jobistemer.web.shared.static_files import mark_files

FLASH_LIFETIME_S: Final = 60
KEY_AGE_S: Final = 10.0
"""After so long the key that dashboards share is read again: it may have been removed, or the server emptied."""
MAX_BY_LENGTH: Final = 100
_MOVING: Final = re.compile(r'<small>[^<]*</small></time>|<time id="as-of">[^<]*</time>')
"""The parts of a page that follow the time and nothing else: distances from now, and the time of the page itself."""


class Dashboard:
    """One dashboard: a namespace, the settings, and the keys that sign its cookies and forms."""

    def __init__(self, namespace: Namespace, settings: DashboardSettings) -> None:
        self.namespace = namespace
        self.read_only = settings.read_only
        self.authenticator = Authenticator(settings.token)
        self.threads = PageThreads()
        self.job_watch = JobWatch()
        self.end_counts = EndCounts()
        self._user_header = settings.user_header
        self._by = settings.by or f"{user_name()[: MAX_BY_LENGTH - 16]} by dashboard"
        # Until the server has told the key that dashboards without a token share: one of this process.
        self._signer = self.authenticator.forms_signer or Signer()
        self._reads_key = not (self.authenticator.requires_token or self.read_only)
        self._key, self._key_read_at = b"", -math.inf
        # Checks the name: one that cannot be recorded is refused at the start, not with the first action.
        JobControl(namespace, self._by)

    @property
    def shards(self) -> list[Database]:
        """The shards of the namespace, connected. Raises NotConnected."""
        shards = self.namespace.shards
        if self._reads_key and time.monotonic() - self._key_read_at >= KEY_AGE_S:
            self._read_key()
        return shards

    def _read_key(self) -> None:
        try:
            key = read_shared_secret(self.namespace.settings)
        except ServerRefused:
            # A viewer has no right to make the key. Its pages are shown all the same; the server refuses its actions.
            self._reads_key = False
            return
        self._key_read_at = time.monotonic()
        if key != self._key:
            self._key, self._signer = key, Signer(key)

    @property
    def signer(self) -> Signer:
        """Return the signer of forms and messages: the same for all dashboards of the namespace, or of the token."""
        return self._signer

    def read_author(self, request: Request) -> str:
        """Return who asks for an action, for audit lists: the user that the proxy names, else the one of the settings.

        Raises HTTPException 403 when a proxy has to name the user and does not, InvalidInput for a name that cannot be
        recorded.
        """
        known = request.scope.get(USER_SCOPE, "")
        if not known and not self._user_header:
            return self._by
        named = known or request.headers.get(self._user_header, "").strip()
        if not named:
            raise HTTPException(403, f"Nobody is named in {self._user_header}, which the proxy has to send.")
        if len(named) > MAX_BY_LENGTH or not named.isprintable():
            shown, where = escape_text(named)[:MAX_BY_LENGTH], "the user" if known else self._user_header
            raise InvalidInput(f"{where} is {shown!r}; a name has 1–{MAX_BY_LENGTH} printable characters")
        return named

    def csrf_token(self, request: Request) -> str:
        """Return the token that forms carry, which shows that a page in this browser has sent them."""
        return self._signer.sign("form", get_visit(request).session)

    def is_csrf_token(self, request: Request, token: str) -> bool:
        """Return whether a token is that of the session of a request."""
        return self._signer.verify("form", get_visit(request).session, token)

    def render_page(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        """Render a page with the time of the server. Raises NotConnected."""
        return self.render(request, template, status, now_ms=self.shards[0].read_clock(), **values)

    def render_offline(self, request: Request, template: str, status: int, **values: Any) -> Response:
        """Render a page with the time of this machine: the server may be away, and could not give its own."""
        return self.render(request, template, status, now_ms=round(time.time() * 1000), **values)

    def render(self, request: Request, template: str, status: int = 200, *, now_ms: int, **values: Any) -> Response:
        """Render a page without another request to the server."""
        visit = get_visit(request)
        # The login page is shown before the token is given: it must not tell the namespace or the address.
        is_admitted = visit.admission is AccessDecision.ADMITTED
        flash = self._signer.decode("said", request.cookies.get(visit.cookies.flash, ""), FLASH_LIFETIME_S)
        query = request.scope["query_string"].decode("latin-1")
        context = {
            "root": visit.root,
            "path": visit.path,
            "here": visit.root + quote(visit.path) + (f"?{query}" if query else ""),
            "now_ms": now_ms,
            "csrf": self.csrf_token(request),
            "flash": flash,
            "read_only": self.read_only,
            "namespace": self.namespace.name if is_admitted else "",
            "server": redact_url(self.namespace.url) if is_admitted else "",
            "can_log_out": is_admitted and self.authenticator.requires_token,
            "version": __version__,
            "marks": mark_files(),
        }
        text = render_template(template, context | values)
        if flash is not None:
            response = HTMLResponse(text, status)
            visit.cookies.delete_on(response, visit.cookies.flash)
            return response
        return HTMLResponse(text, status) if status != 200 else _render_if_changed(request, text, now_ms)


def _render_if_changed(request: Request, text: str, now_ms: int) -> Response:
    # The script sends back the mark of the page that it shows. It draws distances from now by itself.
    mark = f'W/"{sha256(_MOVING.sub("", text).encode()).hexdigest()[:24]}"'
    headers = {"ETag": mark, "Jobistemer-Now": str(now_ms)}
    return (
        Response(None, 304, headers)
        if request.headers.get("if-none-match") == mark
        else HTMLResponse(text, 200, headers)
    )


def get_dashboard(request: Request) -> Dashboard:
    """Return the dashboard of the application that serves a request."""
    dashboard: Dashboard = request.app.state.dashboard
    return dashboard
