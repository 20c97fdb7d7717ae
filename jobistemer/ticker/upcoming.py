"""What a ticker knows of the near future: definitions and next instants of the jobs that are due soon."""

from __future__ import annotations

import heapq

from jobistemer.core.models import Job
from jobistemer.core.planning import Decision
from jobistemer.store.jobs import StoredJob


class Upcoming:
    """Jobs that are due within the horizon, by their next instant."""

    class Entry:
        """One job: its definition, the cursor to decide from, and the instant that comes next."""

        __slots__ = ("cursor", "due", "job", "job_id", "version")

        def __init__(self, job_id: str, stored: StoredJob, due: int) -> None:
            self.job_id = job_id
            self.job: Job = stored.job
            self.version = stored.version
            self.cursor = stored.cursor
            self.due = due

    def __init__(self) -> None:
        self._entries: dict[str, Upcoming.Entry] = {}
        # Heap of (due, job id); an entry that has moved on or gone is recognised and passed over.
        self._order: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def unknown(self, marks: dict[str, int]) -> list[str]:
        """The jobs among `marks` (job id -> due mark in ms) whose definition or next instant is not known here."""
        return [job for job, mark in marks.items() if self._due_ms(job) != mark]

    def add(self, job_id: str, stored: StoredJob, due: int) -> None:
        """Take note of a job and its next instant (Unix seconds)."""
        self._entries[job_id] = Upcoming.Entry(job_id, stored, due)
        heapq.heappush(self._order, (due, job_id))

    def forget(self, job_id: str) -> None:
        """Drop what is known of a job; the next look reads it anew."""
        self._entries.pop(job_id, None)

    def pop_due(self, now_ms: int) -> list[Entry]:
        """Take out the jobs that are due at `now_ms`.

        Until `advance` puts it back, a job is unknown: should its claims fail, the next look reads it anew.
        """
        due = []
        while self._order and self._order[0][0] * 1000 <= now_ms:
            instant, job = heapq.heappop(self._order)
            entry = self._entries.get(job)
            if entry is not None and entry.due == instant:
                due.append(self._entries.pop(job))
        return due

    def advance(self, entry: Entry, decision: Decision, horizon_ms: int) -> None:
        """Note that an instant of a job is decided; what comes after the horizon is for a later look."""
        entry.cursor, entry.due = decision.instant, decision.next_due
        if entry.due * 1000 > horizon_ms:
            self.forget(entry.job_id)
        else:
            self._entries[entry.job_id] = entry
            heapq.heappush(self._order, (entry.due, entry.job_id))

    def next_ms(self) -> int | None:
        """The first instant that is known to come, in ms."""
        return self._order[0][0] * 1000 if self._order else None

    def _due_ms(self, job_id: str) -> int | None:
        entry = self._entries.get(job_id)
        return None if entry is None else entry.due * 1000
