"""Words for people that the command line, the dashboard and the logs share: durations and first lines."""

from __future__ import annotations

from typing import Final

_UNITS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def first_line(text: str) -> str:
    """The first line of an error, which says what it was; what follows is where."""
    return text.strip().partition("\n")[0]


def format_duration(ms: float) -> str:
    """A length of time in its largest fitting unit."""
    # Clocks of processes differ by a few milliseconds: what ended before it began took no time.
    ms = max(0, ms)
    for size, unit in _UNITS:
        if ms >= size:
            return f"{ms / size:.1f} {unit}" if ms < 10 * size else f"{ms / size:.0f} {unit}"
    return f"{ms:.0f} ms"
