"""The check of the token or the pass that a request brings."""

from __future__ import annotations

import hmac
from enum import Enum
from typing import Final

from starlette.requests import Request

from jobistemer.web.security.cookies import CookieNames
from jobistemer.web.security.signing import Signer, build_forms_signer, derive_key
from jobistemer.web.security.throttle import TokenThrottle

AUTH_LIFETIME_S: Final = 12 * 3600


class AccessDecision(Enum):
    """Whether a request may go on."""

    ADMITTED = "admitted"
    STRANGER = "it brings neither the token nor a pass"
    WRONG_TOKEN = "it brings a wrong token"  # noqa: S105 - no password
    WAITS = "its address has brought too many wrong tokens"


class Authenticator:
    """Checks the passes that browsers keep as a cookie, and the `Authorization: Bearer …` of programs."""

    def __init__(self, token: str) -> None:
        self._token = token
        self.throttle = TokenThrottle()
        # The keys are made of the token, not of this process: what one dashboard has signed, another with the same
        # token accepts, and a new token makes all of it invalid.
        key = derive_key(token) if token else b""
        self._signer = Signer(key)
        self.forms_signer = build_forms_signer(key) if token else None
        """What signs the forms of all dashboards with this token; None without a token."""

    @property
    def requires_token(self) -> bool:
        """Return whether requests need a token."""
        return bool(self._token)

    def admit(self, request: Request, names: CookieNames) -> AccessDecision:
        """Judge a request: it goes on when no token is required, or when it brings the token or a pass."""
        if not self._token:
            return AccessDecision.ADMITTED
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.check_token(given, client_address(request))
        signed = request.cookies.get(names.auth, "")
        has_pass = self._signer.decode("pass", signed, AUTH_LIFETIME_S) is not None
        return AccessDecision.ADMITTED if has_pass else AccessDecision.STRANGER

    def check_token(self, given: str, address: str) -> AccessDecision:
        """Compare a text with the token, in a time that does not depend on how much of it is right."""
        if self.throttle.wait_s(address):
            return AccessDecision.WAITS
        if hmac.compare_digest(given.strip().encode(), self._token.encode()):
            self.throttle.record_success(address)
            return AccessDecision.ADMITTED
        self.throttle.record_failure(address)
        return AccessDecision.WRONG_TOKEN

    def issue_pass(self) -> str:
        """Make a pass that is valid for AUTH_LIFETIME_S seconds."""
        return self._signer.encode("pass", "")


def client_address(request: Request) -> str:
    """Return the address that a request comes from, as the server has it: behind a proxy, what the proxy says."""
    return request.client.host if request.client else "an unknown address"
