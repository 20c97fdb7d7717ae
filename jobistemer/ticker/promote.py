"""Promote: move delayed runs that are due onto their streams, a hundred in one call."""

from __future__ import annotations

from jobistemer.store.calls import runs
from jobistemer.store.database import Database


def promote_due(database: Database, delayed: list[tuple[str, int]]) -> int:
    """Promote the runs among `delayed` (member, ms) that are due.

    Returns their number, those included that another ticker has promoted before: either way they are no longer delayed.
    """
    now_ms = database.clock.now_ms()
    members = [member for member, due_at in delayed if due_at <= now_ms]
    if not members:
        return 0
    database.call(runs.promote_runs(database.keys, members, now_ms))
    return len(members)
