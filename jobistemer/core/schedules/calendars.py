"""Calendars: instants on which a job does not run, whatever its schedule says.

A calendar belongs to the job. An instant that it excludes is still an occurrence, recorded as skipped with the
calendar's name.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.schedules.cron import wall_times
from jobistemer.core.schedules.cron_parser import read_cron
from jobistemer.core.schedules.instants import DAY, EPOCH_DAY, MINUTE, to_utc, unix_floor
from jobistemer.core.schedules.zones import zone_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_NAME: Final = 128
_FIVE_FIELDS: Final = 5


class Dates(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="kind", tag="dates"):
    """Excludes whole local days, listed one by one."""

    name: str
    dates: tuple[date, ...]
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        _check(self.name, self.timezone)
        if not all(isinstance(day, date) and not isinstance(day, datetime) for day in self.dates):
            raise InvalidSchedule(f"calendar {self.name!r}: dates {show(self.dates)} are not all dates")
        msgspec.structs.force_setattr(self, "dates", tuple(sorted(set(self.dates))))

    def excludes(self, instant: datetime) -> bool:
        """Return whether the local day of `instant` is one of the dates."""
        return _local_date(instant, self.timezone) in self.dates


class Holidays(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True,
    tag_field="kind", tag="holidays",
):  # fmt: skip
    """Excludes the public holidays of a country (ISO 3166-1, "DE") or its subdivision ("BY").

    Needs the extra `jobistemer[holidays]`; raises InvalidSchedule without it, and for an unknown country or
    subdivision.
    """

    name: str
    country: str
    subdivision: str | None = None
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        _check(self.name, self.timezone)
        _holidays(self.country, self.subdivision)

    def excludes(self, instant: datetime) -> bool:
        """Return whether the local day of `instant` is a public holiday."""
        return _local_date(instant, self.timezone) in _holidays(self.country, self.subdivision)


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stretch of time from `start`, which belongs to it, to `end`, which does not; kept in UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        start, end = to_utc(self.start, "start"), to_utc(self.end, "end")
        if end <= start:
            raise InvalidSchedule(f"window end {end.isoformat()} is not after its start {start.isoformat()}")
        msgspec.structs.force_setattr(self, "start", start)
        msgspec.structs.force_setattr(self, "end", end)


class Blackout(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True,
    tag_field="kind", tag="blackout",
):  # fmt: skip
    """Excludes stretches of time, such as a maintenance weekend; the end of each is free again."""

    name: str
    windows: tuple[Window, ...]

    def __post_init__(self) -> None:
        _check(self.name, "UTC")

    def excludes(self, instant: datetime) -> bool:
        """Return whether `instant` lies in one of the windows."""
        return any(window.start <= instant < window.end for window in self.windows)


class CronExclusion(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="kind", tag="cron"
):
    """Excludes the instants whose local clock matches a cron expression.

    Five fields exclude the whole minute, six and seven the second: `* 0-7 * * *` excludes the night, `* * * * 0,6` the
    weekend.
    """

    name: str
    expression: str
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        _check(self.name, self.timezone)
        read_cron(self.expression)

    def excludes(self, instant: datetime) -> bool:
        """Return whether the local clock at `instant` matches."""
        unix = unix_floor(instant)
        wall = unix + zone_of(self.timezone).offset_at(unix)
        if len(read_cron(self.expression).texts) == _FIVE_FIELDS:
            wall -= wall % MINUTE
        return wall in wall_times(self.expression)


AnyCalendar = Dates | Holidays | Blackout | CronExclusion
"""Every calendar; `msgspec.json.decode(text, type=AnyCalendar)` gives back what was encoded."""


def parse_calendar(text: str, timezone: str = "UTC") -> AnyCalendar:
    """Read a calendar from one line, whose text becomes its name.

    `DE` and `US-CA` are holidays, `2026-12-24,2026-12-31` dates, `2026-12-24T18:00Z/2026-12-27T06:00Z` a blackout,
    anything else a cron exclusion. Raises InvalidSchedule.
    """
    country, _, subdivision = text.partition("-")
    if country.isalpha() and country.isupper() and " " not in text:
        return Holidays(text, country, subdivision or None, timezone)
    if re.match(r"\d{4}-?[W\d]\d", text, re.ASCII) is None:
        return CronExclusion(text, text, timezone)
    try:
        if "/" in text:
            start, end = text.split("/")
            return Blackout(text, (Window(datetime.fromisoformat(start), datetime.fromisoformat(end)),))
        return Dates(text, tuple(date.fromisoformat(day) for day in text.split(",")), timezone)
    except ValueError as error:
        raise InvalidSchedule(
            f"calendar {show(text)} is neither dates such as 2026-12-24,2026-12-31 nor a blackout such as"
            f" 2026-12-24T18:00Z/2026-12-27T06:00Z: {error}"
        ) from error


def _check(name: str, timezone: str) -> None:
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME:
        raise InvalidSchedule(f"calendar name {show(name)} is not text of 1–{_LONGEST_NAME} characters")
    zone_of(timezone)


def _local_date(instant: datetime, timezone: str) -> date:
    unix = unix_floor(instant)
    return date.fromordinal((unix + zone_of(timezone).offset_at(unix)) // DAY + EPOCH_DAY)


@lru_cache(maxsize=256)
def _holidays(country: str, subdivision: str | None) -> Mapping[date, str]:
    """Return the holidays by date; the mapping computes a year at its first use."""
    try:
        import holidays  # noqa: PLC0415 - an extra that only such a calendar needs
    except ImportError as error:
        raise InvalidSchedule(
            "holiday calendars need the package holidays: pip install jobistemer[holidays]"
        ) from error
    known = holidays.list_supported_countries()
    if country not in known:
        raise InvalidSchedule(f"country {show(country)} is no ISO 3166-1 code with known holidays, such as 'DE'")
    if subdivision is not None and subdivision not in known[country]:
        raise InvalidSchedule(
            f"subdivision {show(subdivision)} of {show(country)} is none of {', '.join(known[country]) or 'any'}"
        )
    table: Mapping[date, str] = holidays.country_holidays(country, subdiv=subdivision)
    return table
