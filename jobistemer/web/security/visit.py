"""What the checks before a request have found out about it, for the pages."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from starlette.requests import Request

from jobistemer.web.security.authentication import AccessDecision
from jobistemer.web.security.cookies import CookieNames


@dataclass
class Visit:
    """One request. root: the path under which the dashboard is, empty for none. path: the path within it.

    session: it authenticates nobody, and ties the marks of forms to one browser.
    """

    root: str
    path: str
    cookies: CookieNames
    session: str
    is_new_session: bool = False
    admission: AccessDecision = AccessDecision.STRANGER

    def renew_session(self) -> None:
        """Give the browser another session: who knew the one before a log-in must not share the one after it."""
        self.session = secrets.token_urlsafe(24)
        self.is_new_session = True


def get_visit(request: Request) -> Visit:
    """Return what is known of a request."""
    # One name: where the dashboard is mounted, the application has its own things beside it.
    visit: Visit = request.state.jobistemer_visit
    return visit
