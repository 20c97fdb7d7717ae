"""A clock that stands still until a test moves it."""

from __future__ import annotations

NOW = 1_800_000_000_000
"""Where the tests begin: Friday, 15 January 2027, 08:00 UTC, in Unix milliseconds."""


class FrozenClock:
    """Implements `jobistemer.store.clock.Clock`; what a server says of the time leaves it unmoved."""

    age_s = 0.0

    def __init__(self, now_ms: int = NOW) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    def at_ms(self, monotonic: float) -> int:
        """All instants of the monotonic clock are this one."""
        return self._now_ms

    def seconds_until(self, instant_ms: int) -> float:
        return (instant_ms - self._now_ms) / 1000

    def correct(self, server_ms: float) -> None:
        """The test owns the time."""

    def advance(self, seconds: float) -> None:
        self._now_ms += round(seconds * 1000)
