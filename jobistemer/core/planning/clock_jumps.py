"""Jumps of the server's clock: which time a ticker uses when the clock of the server leaps ahead.

A leap forward makes instants due too early: a clock that is set wrongly would fire a day of jobs at once. So a ticker
goes on with the time from before the leap, on which the next instants still come when they should, until the new time
has lasted long enough to be believed. A step back needs no wait: cursors never go back, so nothing fires twice.
"""

from __future__ import annotations

import msgspec


class JumpPolicy(msgspec.Struct, frozen=True):
    """The limits within which a leap is believed.

    limit_ms: leaps up to this length are believed at once, 0 believes all. hold_ms: how long a greater leap must last.
    """

    limit_ms: float = 0
    hold_ms: float = 0


class HeldJump(msgspec.Struct, frozen=True):
    """A leap that is not believed yet: its length, and its beginning by a clock that does not leap."""

    leap_ms: float
    since_ms: float


def judge_jump(leap_ms: float, held: HeldJump | None, jump_policy: JumpPolicy, steady_ms: float) -> HeldJump | None:
    """Return the leap to hold back when the server's time is `leap_ms` ahead of elapsed time, or None to believe it."""
    if not jump_policy.limit_ms or leap_ms <= jump_policy.limit_ms:
        return None
    if held is None or abs(leap_ms - held.leap_ms) > jump_policy.limit_ms:
        # Found for the first time, or moved again meanwhile: a clock that is still being set is not believed.
        return HeldJump(leap_ms, steady_ms)
    return held if steady_ms - held.since_ms < jump_policy.hold_ms else None
