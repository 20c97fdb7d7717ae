"""A secret that all dashboards of a namespace share, for the marks of their forms."""

from __future__ import annotations

import secrets

from jobistemer.store.database import Database
from jobistemer.store.keys import settings_key

_FIELD = "forms_key"


def read_shared_secret(settings: Database) -> bytes:
    """Return the secret, and make it first where there is none."""
    key = settings_key(settings.keys.namespace)
    found: bytes | None = settings.ask("HGET", key, _FIELD)
    if found is None:
        # Two at the same time: the first one's counts for both.
        settings.ask("HSETNX", key, _FIELD, secrets.token_hex(32))
        found = settings.ask("HGET", key, _FIELD)
    return bytes.fromhex(found.decode()) if found else b""
