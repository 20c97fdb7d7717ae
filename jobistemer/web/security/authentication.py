"""Signed values that browsers keep, and the check of the token or the pass that a request brings."""

from __future__ import annotations

import hmac
import secrets
from enum import Enum
from hashlib import pbkdf2_hmac, sha256
from typing import Any, Final

import itsdangerous
from starlette.requests import Request

from jobistemer.web.security.cookies import CookieNames
from jobistemer.web.security.throttle import TokenThrottle

AUTH_LIFETIME_S: Final = 12 * 3600
_SIGNER_OPTIONS: Final[dict[str, Any]] = {"key_derivation": "hmac", "digest_method": sha256}
_KEY_ROUNDS: Final = 100_000


class Signer:
    """Signs texts with one key. A text that is signed for one purpose is refused for any other.

    key: a random one by default, so that the signatures lose their value when the process ends.
    """

    def __init__(self, key: bytes = b"") -> None:
        self._key = key or secrets.token_bytes(32)

    def sign(self, purpose: str, text: str) -> str:
        """Return the signature of a text, without the text: the same one each time."""
        return self._hmac(purpose).get_signature(text).decode()

    def verify(self, purpose: str, text: str, signature: str) -> bool:
        """Return whether a signature was made by `sign` for this text."""
        return self._hmac(purpose).verify_signature(text, signature)

    def encode(self, purpose: str, text: str) -> str:
        """Return a text with the present time and their signature, fit for a cookie."""
        return str(self._serializer(purpose).dumps(text))

    def decode(self, purpose: str, signed: str, max_age_s: int) -> str | None:
        """Read what `encode` has returned. Returns None when it is forged, or older than `max_age_s` seconds."""
        try:
            text: str = self._serializer(purpose).loads(signed, max_age_s)
        except itsdangerous.BadData:
            return None
        return text

    def _hmac(self, purpose: str) -> itsdangerous.Signer:
        return itsdangerous.Signer(self._key, purpose, **_SIGNER_OPTIONS)

    def _serializer(self, purpose: str) -> itsdangerous.URLSafeTimedSerializer:
        return itsdangerous.URLSafeTimedSerializer(self._key, purpose, signer_kwargs=_SIGNER_OPTIONS)


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
        # token accepts, and a new token makes all of it invalid. Slowly, for the mark of the log-in form shows a
        # stranger something that was signed with it: guessing at home must not be faster than guessing here.
        key = pbkdf2_hmac("sha256", token.encode(), b"jobistemer dashboard", _KEY_ROUNDS) if token else b""
        self._signer = Signer(key)
        self.forms_signer = Signer(sha256(b"forms" + key).digest()) if token else None
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
