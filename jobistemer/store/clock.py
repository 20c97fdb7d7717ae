"""Server time: all decisions use it, since it is the same for every ticker and worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Protocol

from jobistemer.core.planning.clock_jumps import HeldJump, JumpPolicy, judge_jump


class Clock(Protocol):
    """A clock for tickers, workers and producers; tests use a frozen one."""

    @property
    def age_s(self) -> float:
        """Seconds since the server was last asked for its time; 0 for a clock that needs no correction."""
        ...

    def now_ms(self) -> int:
        """Return the server time in Unix milliseconds."""
        ...

    def at_ms(self, monotonic: float) -> int:
        """Return the server time, in Unix milliseconds, at a reading of this process's monotonic clock in seconds."""
        ...

    def seconds_until(self, instant_ms: int) -> float:
        """Return the seconds until a server time in Unix milliseconds; negative when it has passed."""
        ...

    def correct(self, server_ms: float) -> None:
        """Correct the clock by the time that the server has answered, in Unix milliseconds."""
        ...


class ServerClock:
    """Server time, continued by this process's monotonic clock between two corrections.

    A jump of this machine's wall clock has no effect. A jump of the server's clock is adopted by the next correction; a
    jump forward that is longer than `jump_policy` allows, only after it has lasted: all jobs would be due at once.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self.monotonic = monotonic
        self._wall = wall
        # Before the first correction the wall clock is the best guess.
        self._ahead_ms = (wall() - monotonic()) * 1000
        self._corrected = False
        self._held: HeldJump | None = None
        self.jump_policy = JumpPolicy()
        self.corrected_at = monotonic()
        # Server time minus the wall clock of this machine: `ticker list` and `doctor` show it.
        self.offset_ms = 0

    @property
    def held_ms(self) -> int:
        """The milliseconds by which a jump of the server's clock exceeds the time used here; 0 without such a jump."""
        return round(self._held.leap_ms) if self._held else 0

    @property
    def age_s(self) -> float:
        """The seconds since the last correction."""
        return self.monotonic() - self.corrected_at

    def now_ms(self) -> int:
        """Return the server time in Unix milliseconds."""
        return int(self.monotonic() * 1000 + self._ahead_ms)

    def at_ms(self, monotonic: float) -> int:
        """Return the server time, in Unix milliseconds, at a reading of this process's monotonic clock in seconds."""
        return int(monotonic * 1000 + self._ahead_ms)

    def seconds_until(self, instant_ms: int) -> float:
        """Return the seconds until a server time in Unix milliseconds; negative when it has passed."""
        return (instant_ms - self._ahead_ms) / 1000 - self.monotonic()

    def correct(self, server_ms: float) -> None:
        """Correct the clock by the server's answer, unless a jump has to last before it is adopted."""
        steady_ms = self.monotonic() * 1000
        ahead_ms = server_ms - steady_ms
        self.offset_ms = round(server_ms - self._wall() * 1000)
        if self._corrected:
            self._held = judge_jump(ahead_ms - self._ahead_ms, self._held, self.jump_policy, steady_ms)
        if self._held is None:
            self._ahead_ms = ahead_ms
        self._corrected, self.corrected_at = True, steady_ms / 1000


def offset_ms(clocks: Iterable[Clock]) -> int:
    """Return server time minus the time of this machine in ms, of the clock with the greatest difference."""
    return max((each.offset_ms for each in clocks if isinstance(each, ServerClock)), key=abs, default=0)


def held_ms(clocks: Iterable[Clock]) -> int:
    """Return the longest jump of server time in ms that the clocks have not adopted yet."""
    return max((each.held_ms for each in clocks if isinstance(each, ServerClock)), default=0)
