"""The list of changes that people make in a namespace. It is kept on the first shard."""

from __future__ import annotations

from typing import Final

from jobistemer.core.runs.records import Change
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys
from jobistemer.store.scripts import ScriptCall, script

MAX_CHANGES: Final = 1_000
"""So many changes are kept, the latest ones."""


def record_change(keys: Keys, change: Change) -> ScriptCall:
    """Build the call that writes a change into the list."""
    return script("record_change")(
        (keys.changes,), (change.at, change.by, change.what, change.target, change.note.replace("\n", " "))
    )


def read_changes(database: Database, offset: int = 0, limit: int = MAX_CHANGES) -> list[Change]:
    """Return a page of the changes, the latest first."""
    entries = database.ask("LRANGE", database.keys.changes, -offset - limit, -offset - 1) if limit > 0 else []
    lines = (raw.decode(errors="replace").split("\n", 4) for raw in reversed(entries))
    return [Change(int(line[0]), *line[1:]) for line in lines if len(line) == 5 and line[0].isdecimal()]


def count_changes(database: Database) -> int:
    """Return how many changes are kept."""
    return int(database.read("LLEN", database.keys.changes))
