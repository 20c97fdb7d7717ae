"""Jumps of the server's clock: which time a ticker goes by when the server's leaps ahead.

A leap forward makes instants due that nobody meant: a wrong hand on a clock would fire a day of jobs at once. So a
ticker goes on by the time it knew, on which the next instants still come when they should, until the new time has
lasted long enough to be believed. A step back needs no patience: cursors never go back, so nothing fires twice.
"""

from __future__ import annotations

import msgspec


class JumpPolicy(msgspec.Struct, frozen=True):
    """limit_ms: leaps up to here are taken over at once, 0 takes over all. hold_ms: how long a greater one waits."""

    limit_ms: float = 0
    hold_ms: float = 0


class HeldJump(msgspec.Struct, frozen=True):
    """A leap that is not believed yet: how far, and since when by a clock that does not leap."""

    leap_ms: float
    since_ms: float


def judge_jump(leap_ms: float, held: HeldJump | None, jump_policy: JumpPolicy, steady_ms: float) -> HeldJump | None:
    """What is held back after the server's time was found `leap_ms` ahead of the time gone by; None to take it over."""
    if not jump_policy.limit_ms or leap_ms <= jump_policy.limit_ms:
        return None
    if held is None or abs(leap_ms - held.leap_ms) > jump_policy.limit_ms:
        # Found for the first time, or moved again meanwhile: what is to be believed has to stand still.
        return HeldJump(leap_ms, steady_ms)
    return held if steady_ms - held.since_ms < jump_policy.hold_ms else None
