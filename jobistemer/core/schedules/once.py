"""One-time schedules: a single instant."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.schedules.instants import Due, ScheduleQueries, instant_at
from jobistemer.core.schedules.iso8601 import read_instant, unix_of
from jobistemer.core.schedules.zones import zone_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    # The argument may be either; the field itself always holds a datetime in UTC.
    Moment = datetime | str
else:
    Moment = datetime


class Once(
    msgspec.Struct, ScheduleQueries, frozen=True, omit_defaults=True, forbid_unknown_fields=True,
    tag_field="kind", tag="once",
):  # fmt: skip
    """A single instant.

    `at`: a datetime or ISO 8601 text; kept in UTC. `timezone`: the zone whose clock a naive `at` is read on, needed for
    one and kept for display. A reading in a gap moves on by the gap's length, in an overlap the first pass counts, an
    explicit offset wins.

    Raises InvalidSchedule for a naive instant without a zone and for a fraction of a second.
    """

    at: Moment
    timezone: str | None = None

    def __post_init__(self) -> None:
        if self.timezone is not None:
            zone_of(self.timezone)
        msgspec.structs.force_setattr(self, "at", instant_at(_unix_of(self.at, self.timezone)))

    def _due(self) -> Due:
        return _Single(_unix_of(self.at, self.timezone))


class _Single:
    __slots__ = ("_unix",)

    def __init__(self, unix: int) -> None:
        self._unix = unix

    def next_unix(self, after: int) -> int | None:
        return self._unix if self._unix > after else None

    def previous_unix(self, before: int) -> int | None:
        return self._unix if self._unix < before else None

    def unix_between(self, start: int, end: int) -> Iterator[int]:
        return iter((self._unix,) if start < self._unix <= end else ())


def _unix_of(at: object, timezone: str | None) -> int:
    if isinstance(at, str):
        return read_instant(at, timezone)
    if isinstance(at, datetime):
        return unix_of(at, timezone)
    raise InvalidSchedule(f"at {show(at)} is neither a datetime nor ISO 8601 text")
