"""Signed values: what browsers keep, and the links that open one question. It needs itsdangerous and nothing else."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from hashlib import pbkdf2_hmac, sha256
from typing import Any, Final, NamedTuple

import itsdangerous
import msgspec

from jobistemer.core.unreadable import READ_ERRORS

LINK_LIFETIME_S: Final = 30 * 86_400
"""After so long a link opens nothing, though its question may wait on."""
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
        text: str
        try:
            text, signed_at = self._serializer(purpose).loads(signed, return_timestamp=True)
        except itsdangerous.BadData:
            return None
        # itsdangerous itself would refuse what a machine has signed whose clock is a second ahead of this one.
        age = abs(datetime.now(UTC) - signed_at)
        return text if age <= timedelta(seconds=max_age_s) else None

    def _hmac(self, purpose: str) -> itsdangerous.Signer:
        return itsdangerous.Signer(self._key, purpose, **_SIGNER_OPTIONS)

    def _serializer(self, purpose: str) -> itsdangerous.URLSafeTimedSerializer:
        return itsdangerous.URLSafeTimedSerializer(self._key, purpose, signer_kwargs=_SIGNER_OPTIONS)


class AnswerLink(NamedTuple):
    """What a signed link says: the question of which run, the name of its wait, and who answers it."""

    run: str
    name: str
    person: str


def derive_key(token: str) -> bytes:
    """Return the key that a token stands for, the same in every process; it takes some 50 ms.

    Slowly, for the mark of the log-in form shows a stranger something that was signed with it: guessing at home must
    not be faster than guessing at the dashboard.
    """
    return pbkdf2_hmac("sha256", token.encode(), b"jobistemer dashboard", _KEY_ROUNDS)


def build_forms_signer(key: bytes) -> Signer:
    """Return what signs the forms and links of all dashboards with one token. key: that of the token."""
    return Signer(sha256(b"forms" + key).digest())


def encode_link(signer: Signer, link: AnswerLink) -> str:
    """Return the last part of the address of a link, which is valid for LINK_LIFETIME_S seconds from now."""
    return signer.encode("answer", msgspec.json.encode(link).decode())


def decode_link(signer: Signer, signed: str) -> AnswerLink | None:
    """Read what `encode_link` has returned. Returns None when it is forged or too old."""
    text = signer.decode("answer", signed, LINK_LIFETIME_S)
    try:
        return msgspec.json.decode(text or "", type=AnswerLink)
    except READ_ERRORS:
        return None
