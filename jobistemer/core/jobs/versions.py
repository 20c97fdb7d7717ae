"""Versions of a job: which definition decided which instants, when the next takes over, which may be forgotten.

A version decides the instants after `after` up to `until`, where the next version begins. The intervals of a job's
versions adjoin, so every instant belongs to exactly one of them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from jobistemer.core.errors import InvalidDefinition, InvalidSchedule
from jobistemer.core.jobs.job import Job, Update

KEPT_VERSIONS = 20
"""How many of the latest versions are always kept."""
MAX_FORGOTTEN = 100
"""How many versions one registration forgets at the most: it bounds the call."""


class Version(msgspec.Struct, frozen=True):
    """One definition of a job.

    after, until: Unix seconds, with until None for the current version. registered_at, over_at: Unix milliseconds, with
    over_at None for the current version.
    """

    number: int
    job: Job
    fingerprint: str
    after: int
    registered_at: int
    until: int | None = None
    over_at: int | None = None

    @property
    def history_ms(self) -> int:
        """Return how many milliseconds the records of this version's occurrences are kept."""
        return round(self.job.history_s * 1000)


def choose_apply_ms(job: Job, now_ms: int) -> int:
    """Return when a changed definition is to be registered, in Unix milliseconds.

    Raises InvalidDefinition when its update window never comes.
    """
    opens = find_opening_ms(job, now_ms)
    if opens is None:
        raise InvalidDefinition(
            f"job {job.name!r}: its update_window has no instant to come, so the change would never be applied; "
            "give a later one, or deploy it with update='graceful'",
        )
    return opens


def find_opening_ms(job: Job, now_ms: int) -> int | None:
    """Return when the update window of a definition is open, in Unix milliseconds, or None for never again.

    The answer is `now_ms` while the window is open, and for a definition without a window.
    """
    window = job.update_window
    if job.update != Update.WINDOWED or window is None:
        return now_ms
    opened = window.previous_unix(now_ms // 1000 + 1)
    if opened is not None and now_ms - opened * 1000 < job.update_window_s * 1000:
        return now_ms
    opens = window.next_unix(now_ms // 1000)
    return None if opens is None else opens * 1000


def find_superseded(versions: Sequence[Version], current: int, fingerprint: str) -> int | None:
    """Return the latest version that had a definition and was replaced by another since; None for none."""
    found = (each.number for each in versions if each.number < current and each.fingerprint == fingerprint)
    return max(found, default=None)


def find_forgettable(versions: Sequence[Version], pinned: Collection[int], now_ms: int) -> tuple[int, ...]:
    """Return the numbers of versions that nothing refers to, at most MAX_FORGOTTEN.

    A version is kept while it is among the last KEPT_VERSIONS, pinned, or has history rows that are kept.
    """
    return tuple(
        each.number
        for each in versions[: -KEPT_VERSIONS or None]
        if each.number not in pinned and not _has_rows(each, now_ms)
    )[:MAX_FORGOTTEN]


def _has_rows(version: Version, now_ms: int) -> bool:
    if version.until is None or version.over_at is None:
        return True
    # An instant that the version should have decided counts as a row: if the row was lost, an audit has to find out,
    # and it needs the version to do so.
    return max(version.until * 1000, version.over_at) + version.history_ms > now_ms and _has_instants(version)


def _has_instants(version: Version) -> bool:
    try:
        due = version.job.schedule.previous_unix((version.until or 0) + 1)
    except InvalidSchedule:
        # A custom schedule that this process does not know may have had some.
        return True
    return due is not None and due > version.after
