"""Time zones as spans: stretches of time during which a zone's offset from UTC stays the same.

Every question about daylight saving is answered from spans alone. Where two of them meet, the wall clock jumps:
forwards over readings that it never shows (a gap), or backwards to readings that it shows again (an overlap). Nothing
here knows an hour, a month or a rule of any country, so half-hour shifts, midnight shifts, skipped days and permanent
changes of offset are no special cases.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from jobistemer.core.checks import find_close, show
from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.schedules.instants import DAY, FIRST_UNIX, LAST_UNIX

if TYPE_CHECKING:
    from collections.abc import Iterator

# No zone of the tz database changes its offset twice within three days (the shortest stay is just under
# four, Freetown 1939), so looking every two days misses no change. A test holds the database to it.
SAMPLE: Final = 2 * DAY

# Spans are computed a year at a time; a longer span is cut there, which changes no answer.
CHUNK: Final = 366 * DAY

# The longest jump of a wall clock is one day (Alaska 1867, Samoa 2011), with a margin.
LONGEST_JUMP: Final = 3 * DAY

# Names that are left out: what a machine calls `localtime` differs between nodes, and `right/` counts leap
# seconds.
_NAME: Final = re.compile(r"(?!localtime|posix|right)[A-Za-z][A-Za-z0-9_+\- ]*(/[A-Za-z0-9_+\- ]+)*")
_LONGEST_NAME: Final = 40
_WALL_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - wall time has no zone


class Span(NamedTuple):
    """A stretch [start, end) of unix seconds during which `offset` is added to give the wall clock."""

    start: int
    end: int
    offset: int
    # The first wall second that was never shown before this span: later than the span's first reading
    # in an overlap, earlier than it after a gap, else the same.
    fresh: int

    def is_after_gap(self) -> bool:
        """Return whether the wall clock jumped forwards at the start of this span."""
        return self.fresh < self.start + self.offset


class Zone:
    """A time zone of the tz database, or a fixed offset from UTC, seen as spans."""

    __slots__ = ("_info", "_spans", "name")

    def __init__(self, name: str, info: tzinfo | None = None) -> None:
        from zoneinfo import ZoneInfo  # noqa: PLC0415 - most workers have no schedule; see docs/decisions/0003

        self.name = name
        self._info = ZoneInfo(name) if info is None else info
        self._spans = lru_cache(maxsize=512)(self._spans_of_chunk)

    def span_at(self, unix: int) -> Span:
        """Return the span that contains a unix second."""
        for span in self._spans(unix // CHUNK):
            if unix < span.end:
                return span
        raise AssertionError(unix)

    def spans(self, start: int, end: int) -> Iterator[Span]:
        """Return the spans that meet [start, end], in order."""
        while start <= end:
            span = self.span_at(start)
            yield span
            start = span.end

    def changes(self, start: int, end: int) -> Iterator[int]:
        """Return the unix seconds in (start, end) at which the offset changes, in order."""
        for left, right in pairwise((*range(start, end - 1, SAMPLE), end - 1)):
            if self.offset_at(left) != self.offset_at(right):
                yield self._change_between(left, right)

    def unix_of(self, wall: int) -> int:
        """Return the instant at which the clock shows `wall`: the first pass in an overlap.

        A reading inside a gap moves on by the length of the gap, as Python's fold=0 does.
        """
        offset = (_WALL_EPOCH + timedelta(0, wall)).replace(tzinfo=self._info).utcoffset()
        return wall if offset is None else wall - _seconds(offset)

    def offset_at(self, unix: int) -> int:
        """Return the offset from UTC in seconds; beyond the years that can be written, that of their ends."""
        moment = datetime.fromtimestamp(min(max(unix, FIRST_UNIX), LAST_UNIX), self._info)
        offset = moment.utcoffset()
        return 0 if offset is None else _seconds(offset)

    def _change_between(self, left: int, right: int) -> int:
        before = self.offset_at(left)
        while right - left > 1:
            middle = (left + right) // 2
            if self.offset_at(middle) == before:
                left = middle
            else:
                right = middle
        return right

    def _spans_of_chunk(self, chunk: int) -> tuple[Span, ...]:
        first, end = chunk * CHUNK, (chunk + 1) * CHUNK
        spans = self._spans_between(first - LONGEST_JUMP, end)
        return tuple(_cut(span, first) for span in spans if span.end > first)

    def _spans_between(self, first: int, end: int) -> Iterator[Span]:
        fresh = first + self.offset_at(first)
        for start, stop in pairwise((first, *self.changes(first, end), end)):
            offset = self.offset_at(start)
            yield Span(start, stop, offset, fresh)
            fresh = max(fresh, stop + offset)


def zone_of(name: str) -> Zone:
    """Return the zone of a name of the tz database. Raises InvalidSchedule with the likely name."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidSchedule(f"timezone {show(name)} is not a name of the tz database, such as 'Europe/Berlin'")
    return _zone(name)


@lru_cache(maxsize=1024)
def zone_of_offset(offset_s: int) -> Zone:
    """Return the zone that is always the same number of seconds ahead of UTC; its name is such as `UTC+02:00`."""
    info = timezone(timedelta(seconds=offset_s))
    return Zone(str(info), info)


@lru_cache(maxsize=1024)
def _zone(name: str) -> Zone:
    try:
        return Zone(name)
    except (KeyError, ValueError, OSError) as error:
        raise InvalidSchedule(f"timezone {show(name)} is unknown to the tz database{_likely_zone(name)}") from error


def _likely_zone(name: str) -> str:
    names = {zone.casefold(): zone for zone in _zone_names()}
    cities = {zone.rpartition("/")[2]: zone for zone in names}
    wanted = name.strip().replace(" ", "_").casefold()
    close = names.get(wanted) or names.get(cities.get(wanted, ""))
    if close is None and len(wanted) <= _LONGEST_NAME:
        close = next((names[near] for near in find_close(wanted, names, 1, 0.8)), None)
    return f"; did you mean {show(close)}?" if close else ""


@lru_cache(maxsize=1)
def _zone_names() -> tuple[str, ...]:
    return tuple(files("tzdata").joinpath("zones").read_text("utf-8").split())


def _cut(span: Span, first: int) -> Span:
    if span.start >= first:
        return span
    return Span(first, span.end, span.offset, max(span.fresh, first + span.offset))


def _seconds(offset: timedelta) -> int:
    return offset.days * DAY + offset.seconds
