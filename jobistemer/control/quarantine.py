"""The quarantine: what tickers and workers have put aside because it cannot be read; list, restore, purge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from jobistemer.control.changes import ChangeList
from jobistemer.core.errors import Conflict, NotFound
from jobistemer.core.unreadable import to_text
from jobistemer.store import quarantine
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.store.quarantine import Quarantined

SHOWN_BYTES = 200


class QuarantineRow(msgspec.Struct, frozen=True):
    """One thing in the quarantine.

    id: for `restore` and `purge`. key: where it stood. what: the member, or `key` for a whole key. at: when it was put
    aside, in Unix milliseconds.
    """

    id: str
    at: int
    key: str
    what: str
    reason: str


class Quarantine:
    """Control of the quarantine of one namespace.

    by: the author of changes, for the list of changes; by default the user of this process and its host.
    """

    def __init__(self, namespace: Namespace, by: str | None = None) -> None:
        self._namespace = namespace
        self._changes = ChangeList(namespace, by)

    def list(self, offset: int = 0, limit: int = 1_000) -> list[QuarantineRow]:
        """Return a page of what is in the quarantine, the latest first."""
        rows = [_build_row(database, found) for database, found in self._all(offset + limit)]
        return sorted(rows, key=lambda row: (row.at, row.id), reverse=True)[offset : offset + limit]

    def count(self) -> int:
        """Return how many things are in the quarantine."""
        return sum(map(quarantine.count_quarantined, self._namespace.shards))

    def restore(self, row_id: str) -> QuarantineRow:
        """Put one thing back where it was.

        Raises NotFound when it is not there (any more), or Conflict when something else stands in its place now.
        """
        database, found = self._find(row_id)
        word = database.call(quarantine.restore(database.keys, found)).word
        if word == "TAKEN":
            raise Conflict(f"{found.key} has something else in it now; look at it, and remove it before")
        if word == "GONE":
            raise NotFound(f"{row_id} was restored or purged before, or has expired")
        self._changes.record("restore quarantined", row_id, found.key)
        return _build_row(database, found)

    def purge(self, row_ids: Sequence[str] = ()) -> int:
        """Delete these, or everything when none is named, for good. Returns how many. Raises NotFound."""
        chosen = [self._find(each) for each in row_ids] if row_ids else [*self._all()]
        purged = sum(quarantine.purge(database, found) for database, found in chosen)
        if purged:
            named = f"{row_ids[0]} and {len(row_ids) - 1} more" if len(row_ids) > 1 else "".join(row_ids) or "all"
            self._changes.record("purge quarantined", named, f"{purged} purged")
        return purged

    def _all(self, limit: int | None = None) -> Iterator[tuple[Database, Quarantined]]:
        for database in self._namespace.shards:
            for found in quarantine.list_quarantined(database, limit):
                yield database, found

    def _find(self, row_id: str) -> tuple[Database, Quarantined]:
        for database, found in self._all():
            if _row_id(database, found) == row_id:
                return database, found
        raise NotFound(f"nothing in the quarantine has the id {row_id!r}; `jobistemer quarantine list` shows the ids")


def _build_row(database: Database, found: Quarantined) -> QuarantineRow:
    what = "key" if found.kept else to_text(found.member[:SHOWN_BYTES])
    at = found.entry.partition("-")[0]
    return QuarantineRow(_row_id(database, found), int(at), found.key, what, found.reason)


def _row_id(database: Database, found: Quarantined) -> str:
    return f"{database.keys.shard}:{found.entry}"
