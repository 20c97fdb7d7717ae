"""How many of the entries that a worker holds are not due yet, and on which streams they are."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection

from jobistemer.worker.attempts.attempt import EntryKey


class EarlyCount:
    """The count of what is not due yet. The threads of several shards change it."""

    def __init__(self) -> None:
        self.total = 0
        # Replaced whole: a reader sees one or the other.
        self.by_stream: dict[bytes, int] = {}
        self._lock = threading.Lock()

    def add(self, keys: Collection[EntryKey]) -> None:
        """Note that entries which are held are not due yet."""
        self._change(keys, 1)

    def remove(self, keys: Collection[EntryKey]) -> None:
        """Note that such entries are due, or no longer this worker's."""
        self._change(keys, -1)

    def _change(self, keys: Collection[EntryKey], sign: int) -> None:
        changes = Counter([stream for stream, _ in keys])
        with self._lock:
            counts = {each: self.by_stream.get(each, 0) + sign * changes[each] for each in {*self.by_stream, *changes}}
            self.by_stream = {stream: count for stream, count in counts.items() if count}
            self.total += sign * len(keys)
