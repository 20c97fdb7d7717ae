"""A secret that all dashboards of a namespace share, for the marks of their forms."""

from __future__ import annotations

import secrets

from jobistemer.store.database import Database
from jobistemer.store.keys import forms_key


def read_shared_secret(settings: Database) -> bytes:
    """Return the secret, and make it first where there is none. Raises ServerRefused to roles that need not know it."""
    key = forms_key(settings.keys.namespace)
    found: bytes | None = settings.ask("GET", key)
    if found is None:
        # Two at the same time: the first one's counts for both.
        settings.ask("SET", key, secrets.token_hex(32), "NX")
        found = settings.ask("GET", key)
    return bytes.fromhex(found.decode()) if found else b""
