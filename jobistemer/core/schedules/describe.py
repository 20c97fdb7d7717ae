"""A schedule in words for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobistemer.core.schedules.kinds import AnySchedule


def describe(schedule: AnySchedule) -> str:
    """Give a schedule in words."""
    return repr(schedule)
