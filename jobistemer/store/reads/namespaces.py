"""The other namespaces on a server: two of them by mistake look like a queue that nobody serves."""

from __future__ import annotations

import time
from typing import Final

from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.core.reads.findings import Finding, fine, warning
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys, settings_key
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads.queues import list_queues

LONGEST_S: Final = 2.0
"""How long the keys of a server are looked through for the settings of namespaces."""
PAGE: Final = 1_000
_SUFFIX: Final = ":settings"


def compare_namespaces(namespace: Namespace) -> Finding:
    """Compare this namespace with the others of its server: whether work waits here and its workers are elsewhere."""
    here = namespace.settings
    try:
        others, is_whole = _find_others(here, namespace.name)
        own = _count_workers(here, namespace.name)
        working = [each for each in others if _count_workers(here, each)]
    except (NotConnected, ServerRefused) as error:
        return warning(
            "namespaces", f"the others of this server cannot be seen: {error}", "ask with an operator's rights"
        )
    shown = ", ".join([f"{namespace.name} (this one)", *others[:20]])
    if working and not own and any(each.waiting or each.delayed for each in list_queues(namespace.shards)):
        return warning(
            "namespaces",
            f"{shown}: work waits in {namespace.name} without a worker, and {', '.join(working[:20])} has some",
            "if these should be one, give all processes the same namespace: each says at its start which one it uses "
            "and from where (constructor, JOBISTEMER_NAMESPACE, pyproject.toml)",
        )
    return fine("namespaces", shown if is_whole else f"{shown}, and perhaps more: not all keys were looked at")


def _find_others(database: Database, own: str) -> tuple[list[str], bool]:
    """Return the other namespaces by name, and whether all keys were looked at."""
    found: set[str] = set()
    cursor, deadline = 0, time.monotonic() + LONGEST_S
    while True:
        cursor, keys = database.ask("SCAN", cursor, "MATCH", settings_key("*"), "COUNT", PAGE)
        found |= {_read_name(key) for key in keys}
        if not int(cursor) or time.monotonic() > deadline:
            return sorted(found - {own, ""}), not int(cursor)


def _read_name(key: bytes) -> str:
    text = key.decode(errors="replace")
    return text[text.find("{") + 1 : text.find("}")] if text.endswith(_SUFFIX) else ""


def _count_workers(database: Database, name: str) -> int:
    """Return how many workers have a beat in the first shard of a namespace; each worker beats in all of them."""
    try:
        return int(database.ask("ZCARD", Keys(name, 0).workers))
    except ServerRefused:
        # A user of one namespace may not look into the others; their names are told all the same.
        return 0
