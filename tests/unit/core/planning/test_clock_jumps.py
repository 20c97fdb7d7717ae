"""Which time counts when the server's clock moves by itself; the monotonic clock is the test's."""

import pytest

from jobistemer.core.errors import Misconfigured
from jobistemer.core.planning.clock_jumps import HeldJump, JumpPolicy, judge_jump
from jobistemer.core.settings import TickerSettings
from jobistemer.store.clock import ServerClock
from tests.support.clocks import NOW

PATIENCE = JumpPolicy(limit_ms=300_000, hold_ms=60_000)
HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("leap_ms", "held", "steady_ms", "becomes"),
    [
        (0, None, 0, None),
        (300_000, None, 0, None),
        (300_001, None, 5, HeldJump(300_001, 5)),
        (-HOUR_MS, None, 0, None),
        (HOUR_MS, HeldJump(HOUR_MS, 0), 59_999, HeldJump(HOUR_MS, 0)),
        (HOUR_MS, HeldJump(HOUR_MS, 0), 60_000, None),
        (HOUR_MS + 200, HeldJump(HOUR_MS, 0), 59_999, HeldJump(HOUR_MS, 0)),
        (2 * HOUR_MS, HeldJump(HOUR_MS, 0), 60_000, HeldJump(2 * HOUR_MS, 60_000)),
        (0, HeldJump(HOUR_MS, 0), 1, None),
    ],
)
def test_a_leap_is_held_until_it_has_stood_still_long_enough(leap_ms, held, steady_ms, becomes):
    assert judge_jump(leap_ms, held, PATIENCE, steady_ms) == becomes


def test_without_a_limit_every_leap_is_taken_over():
    assert judge_jump(10**12, None, JumpPolicy(), 0) is None


class Times:
    """A server and a machine whose clocks the test moves."""

    def __init__(self):
        self.steady, self.server_ms = 1000.0, float(NOW)
        self.clock = ServerClock(lambda: self.steady, lambda: 0.0)
        self.clock.jump_policy = PATIENCE
        self.look()

    def pass_by(self, seconds, leap_s=0):
        self.steady += seconds
        self.server_ms += (seconds + leap_s) * 1000
        return self.look()

    def look(self):
        self.clock.correct(self.server_ms)
        return (self.clock.now_ms() - NOW) / 1000, self.clock.held_ms


def test_the_first_thing_the_server_says_is_believed_whatever_it_is():
    assert Times().look() == (0, 0)


def test_during_a_leap_time_goes_on_as_before_and_after_a_while_it_is_believed():
    times = Times()
    assert times.pass_by(10) == (10, 0)
    assert times.pass_by(10, leap_s=3600) == (20, HOUR_MS)
    assert times.pass_by(30) == (50, HOUR_MS)
    assert times.pass_by(29) == (79, HOUR_MS)
    assert times.pass_by(1) == (3680, 0)


def test_a_leap_that_is_taken_back_has_never_been():
    times = Times()
    times.pass_by(10, leap_s=86_400)
    assert times.pass_by(10, leap_s=-86_400) == (20, 0)


def test_a_step_back_is_taken_over_at_once():
    assert Times().pass_by(10, leap_s=-3600) == (-3590, 0)


def test_a_clock_that_drifts_never_adds_up_to_a_leap():
    times = Times()
    for _ in range(1000):
        times.pass_by(2, leap_s=1)
    assert times.look() == (3000, 0)


@pytest.mark.parametrize(("field", "value"), [("max_jump_s", -1), ("jump_hold_s", -0.1), ("max_jump_s", 10**9)])
def test_a_limit_out_of_range_is_refused(field, value):
    with pytest.raises(Misconfigured, match=f"{field} is {value}, allowed is"):
        TickerSettings(**{field: value})
