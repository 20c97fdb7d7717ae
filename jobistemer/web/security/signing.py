"""What browsers keep and bring back, sealed: nobody else can have written it."""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256


class Signer:
    """Signs texts with one key; what is signed for one purpose is worth nothing for another.

    key: by default one of this process, so that whatever was signed ends with it.
    """

    def __init__(self, key: bytes = b"") -> None:
        self._key = key or secrets.token_bytes(32)

    def sign(self, purpose: str, text: str) -> str:
        """The signature of a text."""
        return hmac.new(self._key, f"{purpose}\n{text}".encode(), sha256).hexdigest()

    def verify(self, purpose: str, text: str, signature: str) -> bool:
        """Whether this is the signature of the text."""
        return hmac.compare_digest(self.sign(purpose, text).encode(), signature.encode())

    def encode(self, purpose: str, text: str) -> str:
        """A text with its signature, fit for a cookie."""
        return f"{urlsafe_b64encode(text.encode()).decode()}.{self.sign(purpose, text)}"

    def decode(self, purpose: str, signed: str) -> str | None:
        """The text that was sealed, or None for what was not."""
        body, _, signature = signed.rpartition(".")
        try:
            text = urlsafe_b64decode(body.encode()).decode()
        except ValueError:
            return None
        return text if self.verify(purpose, text, signature) else None
