"""From readings of a wall clock to due instants: the rules of daylight saving.

The default is the rule of Debian's cron. Whether an expression catches up with what a gap swallowed, and whether it
repeats itself in an overlap, is decided once, when it is compiled; the walk over the zone's spans is the same for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

from jobistemer.core.schedules.cron_days import CALENDAR_CYCLE
from jobistemer.core.schedules.instants import DAY, FIRST_UNIX, LAST_UNIX
from jobistemer.core.schedules.zones import LONGEST_JUMP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobistemer.core.schedules.zones import Span, Zone

# What to do when clocks change; see `clock_rule`.
Dst = Literal["shift", "skip", "first", "both"]

# From 2100 on every zone follows a yearly rule, so that all repeats with the calendar: an expression whose
# times are lost to gaps for a whole cycle after it is never due again.
KEPT_ANSWERS: Final = 8
"""How many of its latest answers a set of due instants keeps."""
_YEARLY_RULES_FROM: Final = 130 * 366 * DAY
_CYCLE: Final = (CALENDAR_CYCLE + 2) * 366 * DAY


class ClockRule(NamedTuple):
    """The rule for readings that a clock never shows, and for readings that it shows twice."""

    catches_up: bool  # what falls into a gap is due, once, at the first instant after it
    repeats: bool  # what is shown twice is due twice


class WallSet(Protocol):
    """A set of readings of a wall clock, in wall seconds."""

    def at_or_after(self, wall: int) -> int | None:
        """Return the first reading that is not before `wall`, or None."""

    def at_or_before(self, wall: int) -> int | None:
        """Return the last reading that is not after `wall`, or None."""

    def between(self, first: int, end: int) -> Iterator[int]:
        """Return the readings in [first, end), in order."""


def clock_rule(dst: Dst, *, follows_elapsed_time: bool) -> ClockRule:
    """Return the rule of a `dst` setting for an interval expression or a fixed-time one.

    An interval expression never catches up, and repeats unless `first` is asked for; a fixed-time one catches up unless
    `skip` is, and repeats only for `both`.
    """
    if follows_elapsed_time:
        return ClockRule(catches_up=False, repeats=dst != "first")
    return ClockRule(catches_up=dst != "skip", repeats=dst == "both")


class WallClockDue:
    """The due instants of a set of wall-clock readings in a zone, under a rule for clock changes."""

    __slots__ = ("_answers", "_rule", "_walls", "_zone")

    def __init__(self, walls: WallSet, zone: Zone, rule: ClockRule) -> None:
        self._walls, self._zone, self._rule = walls, zone, rule
        self._answers: dict[int, int | None] = {}

    def next_unix(self, after: int) -> int | None:
        """Return the first due second later than `after`, or None when there is none."""
        # Thousands of jobs of one expression share this set, and a ticker asks for each of them what follows the same
        # two instants.
        answers = self._answers
        if after in answers:
            return answers[after]
        if len(answers) >= KEPT_ANSWERS:
            # Another dictionary: a thread that has just found its question in this one reads the answer there.
            answers = self._answers = {}
        found = answers[after] = self._find_next(after)
        return found

    def _find_next(self, after: int) -> int | None:
        unix = max(after + 1, FIRST_UNIX)
        horizon = min(max(unix, _YEARLY_RULES_FROM) + _CYCLE, LAST_UNIX)
        while unix <= horizon:
            span = self._zone.span_at(unix)
            if unix == span.start and self._is_caught_up_at(span):
                return unix
            wall = self._walls.at_or_after(max(unix + span.offset, self._earliest(span)))
            if wall is not None and wall < min(span.end, LAST_UNIX + 1) + span.offset:
                return wall - span.offset
            unix = span.end
            if unix > after + LONGEST_JUMP:
                if wall is None:
                    return None
                # No clock goes back so far that a reading before `wall` could match: go there at once.
                unix = max(unix, wall - span.offset - LONGEST_JUMP)
        return None

    def previous_unix(self, before: int) -> int | None:
        """Return the last due second earlier than `before`, or None when there is none."""
        unix = min(before - 1, LAST_UNIX)
        while unix >= FIRST_UNIX:
            span = self._zone.span_at(unix)
            wall = self._walls.at_or_before(unix + span.offset)
            if wall is not None and wall >= max(self._earliest(span), FIRST_UNIX + span.offset):
                return wall - span.offset
            if self._is_caught_up_at(span):
                return span.start
            unix = span.start - 1
            if unix < before - LONGEST_JUMP:
                if wall is None:
                    return None
                unix = min(unix, wall - span.offset + LONGEST_JUMP)
        return None

    def unix_between(self, start: int, end: int) -> Iterator[int]:
        """Return the due seconds in (start, end], lazily and in order."""
        first = self.next_unix(start)
        while first is not None and first <= end:
            span = self._zone.span_at(first)
            last = min(end, span.end - 1, LAST_UNIX)
            yield first
            wall = max(first + 1 + span.offset, self._earliest(span))
            for due in self._walls.between(wall, last + 1 + span.offset):
                yield due - span.offset
            first = self.next_unix(last)

    def _earliest(self, span: Span) -> int:
        """Return the first wall second of a span that counts: its first, or the first never shown before."""
        if self._rule.repeats or span.is_after_gap():
            return span.start + span.offset
        return span.fresh

    def _is_caught_up_at(self, span: Span) -> bool:
        """Return whether a reading that the gap before `span` swallowed is due at its start."""
        if not (self._rule.catches_up and span.is_after_gap()):
            return False
        return any(True for _ in self._walls.between(span.fresh, span.start + span.offset))
