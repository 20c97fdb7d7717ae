"""What a handler may raise to say how its attempt is to be taken."""

from __future__ import annotations

from datetime import timedelta


class Retry(Exception):
    """Try again: `raise Retry(after=30)`. It counts as a failed attempt.

    after: seconds or a timedelta until the next attempt; without it the retry policy says.
    """

    def __init__(self, reason: str = "asked to be tried again", *, after: float | timedelta | None = None) -> None:
        super().__init__(reason)
        seconds = after.total_seconds() if isinstance(after, timedelta) else after
        self.after_ms = None if seconds is None else max(0, round(seconds * 1000))


class Fail(Exception):
    """Give up: `raise Fail("no such customer")`. The run fails and is not tried again."""
