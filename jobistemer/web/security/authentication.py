"""Signed values that browsers keep, and the check of the token or the pass that a request brings."""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256
from typing import Any, Final

import itsdangerous
from starlette.requests import Request

AUTH_COOKIE: Final = "jobistemer_pass"
AUTH_LIFETIME_S: Final = 12 * 3600
_SIGNER_OPTIONS: Final[dict[str, Any]] = {"key_derivation": "hmac", "digest_method": sha256}


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


class Authenticator:
    """Checks the passes that browsers keep as a cookie, and the `Authorization: Bearer …` of programs."""

    def __init__(self, token: str) -> None:
        self._token = token
        # The key is made of the token, not of this process: passes stay valid over a restart of the dashboard,
        # and a new token makes all of them invalid.
        self._signer = Signer(sha256(token.encode()).digest())

    @property
    def requires_token(self) -> bool:
        """Whether requests need a token."""
        return bool(self._token)

    def is_admitted(self, request: Request) -> bool:
        """Return whether a request may go on: no token is required, or the request brings it or a pass."""
        if not self._token:
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.is_token(given)
        return self._signer.decode("pass", request.cookies.get(AUTH_COOKIE, ""), AUTH_LIFETIME_S) is not None

    def is_token(self, given: str) -> bool:
        """Return whether a text is the token, in a time that does not depend on how much of it is right."""
        return hmac.compare_digest(given.strip().encode(), self._token.encode())

    def issue_pass(self) -> str:
        """Make a pass that is valid for AUTH_LIFETIME_S seconds."""
        return self._signer.encode("pass", "")
