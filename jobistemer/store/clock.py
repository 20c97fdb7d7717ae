"""Server time: the only time that counts, since it is the same for every ticker and worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Protocol

from jobistemer.core.planning.clock_jumps import HeldJump, JumpPolicy, judge_jump


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
    next correction, one forward that is longer than `jump_policy` allows only after it has lasted.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self.monotonic = monotonic
        self._wall = wall
        # Before the first correction the wall clock is the best guess there is.
        self._ahead_ms = (wall() - monotonic()) * 1000
        self._corrected = False
        self._held: HeldJump | None = None
        self.jump_policy = JumpPolicy()
        self.corrected_at = monotonic()
        # What this machine's own clock is off by is for `ticker list` and `doctor` to show.
        self.offset_ms = 0

    @property
    def held_ms(self) -> int:
        """How far the server's time has leapt ahead of the one that is gone by here; 0 when it is the same."""
        return round(self._held.leap_ms) if self._held else 0

    def now_ms(self) -> int:
        """Unix milliseconds of server time."""
        return int(self.monotonic() * 1000 + self._ahead_ms)

    def at_ms(self, monotonic: float) -> int:
        """The server time at a reading of this process's monotonic clock."""
        return int(monotonic * 1000 + self._ahead_ms)

    def correct(self, server_ms: float) -> None:
        """Take over what the server said its time is, unless it has leapt and that is not believed yet."""
        steady_ms = self.monotonic() * 1000
        ahead_ms = server_ms - steady_ms
        self.offset_ms = round(server_ms - self._wall() * 1000)
        if self._corrected:
            self._held = judge_jump(ahead_ms - self._ahead_ms, self._held, self.jump_policy, steady_ms)
        if self._held is None:
            self._ahead_ms = ahead_ms
        self._corrected, self.corrected_at = True, steady_ms / 1000


def age_s(clock: Clock) -> float:
    """Return how many seconds ago a clock was corrected; 0 for one that needs no correction."""
    return clock.monotonic() - clock.corrected_at if isinstance(clock, ServerClock) else 0.0


def offset_ms(clocks: Iterable[Clock]) -> int:
    """How far server time is ahead of this machine's; of several clocks, the one that is off by most."""
    return max((each.offset_ms for each in clocks if isinstance(each, ServerClock)), key=abs, default=0)


def held_ms(clocks: Iterable[Clock]) -> int:
    """How far server time has leapt ahead of what is gone by; of several clocks, the one that has most."""
    return max((each.held_ms for each in clocks if isinstance(each, ServerClock)), default=0)
