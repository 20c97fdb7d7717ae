"""Who may come in: everybody, or those who know the token."""

from __future__ import annotations

import hmac
import time
from hashlib import sha256
from typing import Final

from starlette.requests import Request

from jobistemer.web.security.signing import Seal

COOKIE: Final = "jobistemer_pass"
LASTS_S: Final = 12 * 3600


class Entrance:
    """Checks passes, which browsers keep as a cookie, and `Authorization: Bearer …` of programs."""

    def __init__(self, token: str) -> None:
        self._token = token
        # Passes outlive the process, and end with the token that they were given for.
        self._seal = Seal(sha256(token.encode()).digest())

    @property
    def is_locked(self) -> bool:
        """Whether a token is asked for."""
        return bool(self._token)

    def admits(self, request: Request) -> bool:
        """Whether a request may go on."""
        if not self._token:
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.knows(given)
        until = self._seal.open("pass", request.cookies.get(COOKIE, ""))
        return until is not None and int(until) > time.time()

    def knows(self, given: str) -> bool:
        """Whether this is the token."""
        return hmac.compare_digest(given.strip().encode(), self._token.encode())

    def issue(self) -> str:
        """A pass for the next hours."""
        return self._seal.close("pass", str(round(time.time()) + LASTS_S))
