"""Facts about the server of a shard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobistemer.core.errors import ServerRefused
from jobistemer.store.database import Database


def ping(database: Database) -> None:
    """Make one round trip to the server, which does no work for it. Raises NotConnected or ServerRefused."""
    database.ask("PING")


def read_server_info(database: Database) -> Mapping[str, Any]:
    """Return the fields of INFO. Raises NotConnected, or ServerRefused when the user may not run INFO."""
    info: Mapping[str, Any] = database.ask("INFO")
    return info


def read_version(database: Database) -> str:
    """Return the version of the server; empty when this user may not ask for it."""
    try:
        info = read_server_info(database)
    except ServerRefused:
        return ""
    return str(info.get("valkey_version") or info.get("redis_version", ""))
