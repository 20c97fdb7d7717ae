"""The names and flags of the cookies of one dashboard."""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

from starlette.responses import Response


class CookieNames(NamedTuple):
    """The names of the cookies of a dashboard, as one request meets it.

    Browsers keep the cookies of all ports of a host together, so the names hold the port, and a mark of the namespace
    and the path: two dashboards on one host then leave one another's alone. secure: whether the browser speaks TLS,
    where a name with `__Host-` can be set by this very host alone.
    """

    session: str
    auth: str
    flash: str
    secure: bool

    def set_on(self, response: Response, name: str, value: str, max_age_s: int | None = None) -> None:
        """Set a cookie that no script and no other site gets hold of."""
        response.set_cookie(
            name, value, max_age=max_age_s, path="/", secure=self.secure, httponly=True, samesite="strict"
        )

    def delete_on(self, response: Response, name: str) -> None:
        """Let a browser forget a cookie."""
        response.delete_cookie(name, path="/", secure=self.secure, httponly=True, samesite="strict")


def name_cookies(namespace: str, root_path: str, port: str, *, secure: bool) -> CookieNames:
    """Name the cookies of a dashboard. port: as the Host header has it, empty for that of the scheme."""
    # Hashed, for whoever has not logged in must not learn the name of the namespace.
    mark = sha256(f"{namespace}\n{root_path}".encode()).hexdigest()[:8]
    front = f"{'__Host-' if secure else ''}jobistemer_{port or ('443' if secure else '80')}_{mark}"
    return CookieNames(f"{front}_session", f"{front}_pass", f"{front}_said", secure)
