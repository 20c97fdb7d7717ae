"""A clock that stands still until a test moves it, and the time of this process with it."""

from __future__ import annotations

import time_machine

from jobistemer.testing.times import to_datetime


class ManualClock:
    """A clock that a test moves. Implements `jobistemer.store.clock.Clock`.

    While it is open, `datetime.now()` and `time.time()` return its time, in handlers, in the test and in the in-memory
    server, so keys expire when the clock is moved. Monotonic clocks go on, and with them the timeouts of attempts.
    """

    age_s = 0.0
    """It needs no correction."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._travel = time_machine.travel(to_datetime(now_ms), tick=False)
        self._coordinates = self._travel.start()

    def now_ms(self) -> int:
        """Return the time of the clock in Unix milliseconds."""
        return self._now_ms

    def at_ms(self, monotonic: float) -> int:  # noqa: ARG002 - the clock stands still
        """Return the time of the clock in Unix milliseconds, for every instant of the monotonic clock."""
        return self._now_ms

    def seconds_until(self, instant_ms: int) -> float:
        """Return the seconds from the time of the clock until an instant in Unix milliseconds."""
        return (instant_ms - self._now_ms) / 1000

    def correct(self, server_ms: float) -> None:
        """Ignore the time of the server: only the test sets the clock."""

    def move_to(self, now_ms: int) -> None:
        """Set the clock and the time of this process, in Unix milliseconds."""
        if now_ms != self._now_ms:
            self._now_ms = now_ms
            self._coordinates.move_to(to_datetime(now_ms))

    def close(self) -> None:
        """Let the time of this process go on as usual."""
        self._travel.stop()
