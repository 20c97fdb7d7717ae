"""The list of changes that people have made to queues, holds, workers, runs and dead letters, and to jobs."""

from __future__ import annotations

from jobistemer.core.checks import LONGEST_AUTHOR, check_author
from jobistemer.core.runs.records import Change
from jobistemer.runtime.process_info import user_name
from jobistemer.store.calls import changes
from jobistemer.store.namespace import Namespace


class ChangeList:
    """The list of changes of one namespace; the latest thousand are kept.

    by: the author of changes, by default the user of this process and its host.
    Raises InvalidInput for an author whose name is too long or not printable.
    """

    def __init__(self, namespace: Namespace, by: str | None = None) -> None:
        self._namespace = namespace
        self._by = None if by is None else check_author(by)

    @property
    def by(self) -> str:
        """The author of changes."""
        return self._by or user_name()[:LONGEST_AUTHOR]

    def record(self, what: str, target: str, note: str = "") -> None:
        """Record a change after it was made: the change counts, not the line about it."""
        database = self._namespace.shards[0]
        change = Change(database.clock.now_ms(), self.by, what, target, note)
        database.call(changes.record_change(database.keys, change))

    def list(self, offset: int = 0, limit: int = 100) -> list[Change]:
        """Return a page of the changes, the latest first."""
        return changes.read_changes(self._namespace.shards[0], offset, limit)

    def count(self) -> int:
        """Return how many changes are kept."""
        return changes.count_changes(self._namespace.shards[0])
