"""Who may come in: everybody, or those who know the token."""

from __future__ import annotations

import hmac
import time
from hashlib import sha256
from typing import Final

from starlette.requests import Request

from jobistemer.web.security.signing import Signer

AUTH_COOKIE: Final = "jobistemer_pass"
AUTH_LIFETIME_S: Final = 12 * 3600


class Authenticator:
    """Checks passes, which browsers keep as a cookie, and `Authorization: Bearer …` of programs."""

    def __init__(self, token: str) -> None:
        self._token = token
        # Passes outlive the process, and end with the token that they were given for.
        self._signer = Signer(sha256(token.encode()).digest())

    @property
    def requires_token(self) -> bool:
        """Whether a token is asked for."""
        return bool(self._token)

    def is_admitted(self, request: Request) -> bool:
        """Whether a request may go on."""
        if not self._token:
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.is_token(given)
        until = self._signer.decode("pass", request.cookies.get(AUTH_COOKIE, ""))
        return until is not None and int(until) > time.time()

    def is_token(self, given: str) -> bool:
        """Whether this is the token."""
        return hmac.compare_digest(given.strip().encode(), self._token.encode())

    def issue_pass(self) -> str:
        """A pass for the next hours."""
        return self._signer.encode("pass", str(round(time.time()) + AUTH_LIFETIME_S))
