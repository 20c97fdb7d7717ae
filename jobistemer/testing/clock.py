"""A clock that stands still until it is moved, and the time of this process with it."""

from __future__ import annotations

from datetime import UTC, datetime

import time_machine


class ManualClock:
    """Implements `jobistemer.store.clock.Clock`.

    While it is open, `datetime.now()` and `time.time()` say the same as it does, in handlers, in the test and in the
    in-memory server: what is to expire does so when the clock is moved. Monotonic clocks go on, and so do time-outs.
    """

    age_s = 0.0
    """It needs no correction."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._travel = time_machine.travel(_to_datetime(now_ms), tick=False)
        self._coordinates = self._travel.start()

    def now_ms(self) -> int:
        """Unix milliseconds."""
        return self._now_ms

    def at_ms(self, monotonic: float) -> int:  # noqa: ARG002 - all instants of the monotonic clock are this one
        """What it says now."""
        return self._now_ms

    def correct(self, server_ms: float) -> None:
        """Stay as it is: the test owns the time."""

    def move_to(self, now_ms: int) -> None:
        """Move it, and the time of this process."""
        if now_ms != self._now_ms:
            self._now_ms = now_ms
            self._coordinates.move_to(_to_datetime(now_ms))

    def close(self) -> None:
        """Give this process its own time back."""
        self._travel.stop()


def _to_datetime(now_ms: int) -> datetime:
    return datetime.fromtimestamp(now_ms / 1000, UTC)
