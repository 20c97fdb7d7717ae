"""Scratch namespaces: marked when they are taken, and removed with all their keys at the end."""

from __future__ import annotations

from typing import Final

from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace

PAGE: Final = 1_000
_OWNER_FIELD: Final = "for-a-while"


def find_owner(namespace: Namespace) -> str:
    """Return the owner of a scratch namespace; empty when the namespace is not one."""
    owner: bytes | None = namespace.settings.ask("HGET", namespace.settings_key, _OWNER_FIELD)
    return (owner or b"").decode(errors="replace")


def acquire(namespace: Namespace, owner: str) -> bool:
    """Mark an unused namespace as a scratch namespace of `owner`. Returns whether it was unused and is now marked.

    A namespace that is in use has its settings. Raises ServerRefused, with nothing written, when this user may not
    remove keys: the namespace could not be cleared again.
    """
    settings, key = namespace.settings, namespace.settings_key
    if settings.ask("EXISTS", key):
        return False
    settings.ask("SCAN", 0, "COUNT", 1)
    settings.ask("UNLINK", key)
    # The first process that connects writes the number of shards: with more than the mark there, it was faster.
    return bool(settings.ask("HSETNX", key, _OWNER_FIELD, owner)) and settings.ask("HLEN", key) == 1


def clear(namespace: Namespace) -> None:
    """Remove every key of a scratch namespace. All keys of the server are scanned, a thousand at a time."""
    for database in namespace.shards:
        _clear_shard(database)
    # Last, so that a namespace that was cleared half-way is still marked.
    namespace.settings.ask("UNLINK", namespace.settings_key)


def _clear_shard(database: Database) -> None:
    cursor: bytes | int = b"0"
    while True:
        cursor, found = database.ask("SCAN", cursor, "MATCH", f"{database.keys.tag}:*", "COUNT", PAGE)
        if found:
            database.ask("UNLINK", *found)
        if int(cursor) == 0:
            return
