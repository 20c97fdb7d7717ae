"""A namespace for a while: marked as such when it is taken, and removed with all that is in it."""

from __future__ import annotations

from typing import Final

from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace

PAGE: Final = 1_000
_OWNER_FIELD: Final = "for-a-while"


def find_owner(namespace: Namespace) -> str:
    """Who has taken it for a while; empty when nobody has."""
    owner: bytes | None = namespace.settings.ask("HGET", namespace.settings_key, _OWNER_FIELD)
    return (owner or b"").decode(errors="replace")


def acquire(namespace: Namespace, owner: str) -> bool:
    """Take it for a while, unless anybody uses it: whoever does has left its settings there.

    Raises ServerRefused, with nothing written, when this user could not remove it again.
    """
    settings, key = namespace.settings, namespace.settings_key
    if settings.ask("EXISTS", key):
        return False
    settings.ask("SCAN", 0, "COUNT", 1)
    settings.ask("UNLINK", key)
    # The number of shards is written by whoever connects first: it is not there while nobody has.
    return bool(settings.ask("HSETNX", key, _OWNER_FIELD, owner)) and settings.ask("HLEN", key) == 1


def clear(namespace: Namespace) -> None:
    """Remove every key of a namespace that was taken. It walks along all keys of the server, a thousand at a time."""
    for database in namespace.shards:
        _clear_shard(database)
    # The last: what is cleared half-way can still be told.
    namespace.settings.ask("UNLINK", namespace.settings_key)


def _clear_shard(database: Database) -> None:
    cursor: bytes | int = b"0"
    while True:
        cursor, found = database.ask("SCAN", cursor, "MATCH", f"{database.keys.tag}:*", "COUNT", PAGE)
        if found:
            database.ask("UNLINK", *found)
        if int(cursor) == 0:
            return
