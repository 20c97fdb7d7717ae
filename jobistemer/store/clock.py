"""Server time: the only time that counts, since it is the same for every ticker and worker."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What tells the time to tickers, workers and producers; tests put a frozen one in its place."""

    def now_ms(self) -> int:
        """Unix milliseconds of server time."""
        ...

    def at_ms(self, monotonic: float) -> int:
        """The server time at a reading of this process's monotonic clock."""
        ...

    def correct(self, server_ms: float) -> None:
        """Take over what the server said its time is."""
        ...


class ServerClock:
    """Server time, carried on by this process's monotonic clock between two looks at the server's.

    A jump of this machine's wall clock is thus not even noticed; a jump of the server's is taken over by the
    next correction.
    """

    def __init__(self) -> None:
        # Before the first correction the wall clock is the best guess there is.
        self._ahead_ms = (time.time() - time.monotonic()) * 1000

    def now_ms(self) -> int:
        """Unix milliseconds of server time."""
        return int(time.monotonic() * 1000 + self._ahead_ms)

    def at_ms(self, monotonic: float) -> int:
        """The server time at a reading of this process's monotonic clock."""
        return int(monotonic * 1000 + self._ahead_ms)

    def correct(self, server_ms: float) -> None:
        """Take over what the server said its time is."""
        self._ahead_ms = server_ms - time.monotonic() * 1000
        # What this machine's own clock is off by is for `ticker list` and `doctor` to show.
        self.offset_ms = round(server_ms - time.time() * 1000)

    offset_ms = 0
