"""Texts for people that the command line, the dashboard and the logs share: durations, distances, states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

_UNITS: Final = ((86_400_000, "d", 3_600_000, "h"), (3_600_000, "h", 60_000, "min"), (60_000, "min", 1_000, "s"))
"""Units in milliseconds with their names, each with the next smaller one."""

TONES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("completed", "succeeded", "open", "fine", "CREATED"), "good"),
    **dict.fromkeys(("running", "pending", "in flight"), "busy"),
    **dict.fromkeys(("queued", "scheduled", "suspended", "waiting", "POSTPONED"), "wait"),
    **dict.fromkeys(("missed", "paused", "draining", "quiet", "warning", "stranger", "CHANGED", "OLDER"), "warn"),
    **dict.fromkeys(("failed", "failed_stale", "dead", "timed_out", "hole", "double", "fault", "REMOVED"), "bad"),
    **dict.fromkeys(("skipped", "compressed", "canceled", "over", "ended"), "mute"),
    "lost": "lost",
}
"""The tone of each state; a terminal and a browser choose a colour for it. The word always stands beside the colour."""

BY_HAND: Final = "by hand"
"""The reason of a cancellation for which none is given."""
CANCEL_MESSAGES: Final[Mapping[str, str]] = {
    "canceled": "{} is canceled",
    "requested": "{} is being canceled: its worker is asked within a second",
    "ended": "{} had ended before; nothing was changed",
}
"""What each answer of `cancel_run` and `cancel_occurrence` means, with a place for the id."""


def first_line(text: str) -> str:
    """Return the first line of an error: the lines after it say where it happened."""
    return text.strip().partition("\n")[0]


def pluralize(number: int, noun: str) -> str:
    """Write a number and its noun: "1 worker", "1,200 workers"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def join_some(names: Sequence[str], most: int = 5) -> str:
    """Write the first names, and how many more there are: "a, b and 1,998 more"."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"


def format_duration(ms: float) -> str:
    """Write a duration in its largest fitting unit, from a minute on with the next smaller one: "1 min 18 s"."""
    # Clocks of processes differ by a few milliseconds: what ended before it began took no time.
    ms = max(0, ms)
    for size, unit, part, part_unit in _UNITS:
        if ms >= 10 * size:
            return f"{ms / size:.0f} {unit}"
        if ms >= size:
            whole, rest = divmod(round(ms / part), size // part)
            return f"{whole} {unit} {rest} {part_unit}" if rest else f"{whole} {unit}"
    if ms >= 1_000:
        return f"{ms / 1_000:.1f} s" if ms < 10_000 else f"{ms / 1_000:.0f} s"
    return f"{ms:.0f} ms"


def format_distance(at_ms: float, now_ms: float) -> str:
    """Write how far an instant is from now: "in 3.0 s" or "3.0 s ago"."""
    return f"in {format_duration(at_ms - now_ms)}" if at_ms > now_ms else f"{format_duration(now_ms - at_ms)} ago"
