"""Versions of a job: which definition decided which instants, when the next one takes over, what may be forgotten.

A version decides the instants after `after` up to `until`, which is where the next one begins. The intervals of a
job's versions adjoin, so every instant belongs to exactly one of them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from jobistemer.core.errors import InvalidDefinition
from jobistemer.core.jobs.job import Job, Update

KEPT_VERSIONS = 20
"""How many versions are kept whether or not anything refers to them."""
MAX_FORGOTTEN = 100
"""How many versions one registration forgets."""


class Version(msgspec.Struct, frozen=True):
    """One definition of a job; instants are Unix seconds, times Unix milliseconds, None while it is the current one."""

    number: int
    job: Job
    fingerprint: str
    after: int
    registered_at: int
    until: int | None = None
    over_at: int | None = None

    @property
    def history_ms(self) -> int:
        """How long what happened under this version is kept."""
        return round(self.job.history_s * 1000)


def apply_at_ms(job: Job, now_ms: int) -> int:
    """When a changed definition is to be registered. Raises InvalidDefinition when its window never comes."""
    opens = opens_at_ms(job, now_ms)
    if opens is None:
        raise InvalidDefinition(
            f"job {job.name!r}: its update_window has no instant to come, so the change would never be applied; "
            "give a later one, or deploy it with update='graceful'",
        )
    return opens


def opens_at_ms(job: Job, now_ms: int) -> int | None:
    """When the window of a definition is open: now, later, or never again; what has no window takes over now."""
    window = job.update_window
    if job.update != Update.WINDOWED or window is None:
        return now_ms
    opened = window.previous_unix(now_ms // 1000 + 1)
    if opened is not None and now_ms - opened * 1000 < job.update_window_s * 1000:
        return now_ms
    opens = window.next_unix(now_ms // 1000)
    return None if opens is None else opens * 1000


def is_superseded(versions: Sequence[Version], current: int, fingerprint: str) -> bool:
    """Whether a definition was registered before and another one has taken its place since."""
    return any(each.fingerprint == fingerprint for each in versions if each.number < current)


def find_forgettable(versions: Sequence[Version], pinned: Collection[int], now_ms: int) -> tuple[int, ...]:
    """The versions that nothing refers to: neither among the last ones, nor pinned, nor with rows that are kept."""
    return tuple(
        each.number
        for each in versions[: -KEPT_VERSIONS or None]
        if each.number not in pinned and not _has_rows(each, now_ms)
    )[:MAX_FORGOTTEN]


def _has_rows(version: Version, now_ms: int) -> bool:
    if version.until is None or version.over_at is None:
        return True
    # An instant that it should have decided counts as a row: should the row be lost, an audit has to find it.
    due = version.job.schedule.previous_unix(version.until + 1)
    decided = due is not None and due > version.after
    return decided and max(version.until * 1000, version.over_at) + version.history_ms > now_ms
