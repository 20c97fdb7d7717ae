"""A ticker wakes up a few milliseconds before an instant, and sleeps the rest: it fires on the dot, and never before."""

from types import SimpleNamespace

import pytest

from jobistemer.core.settings import TickerSettings
from jobistemer.store.calls import heartbeats
from jobistemer.store.clock import ServerClock
from jobistemer.ticker import shard_ticker, upcoming
from jobistemer.ticker.shard_ticker import CLEAR_S
from jobistemer.ticker.upcoming import MIN_LEAD_MS
from tests.support.clocks import NOW
from tests.support.lifecycle import job, register
from tests.support.step_system import build_ticker, read_occurrences

MINUTE = 60


class Timeline:
    """Time that passes only while a ticker waits. A wait for wake-ups ends 1.9 ms late, a sleep is exact."""

    def __init__(self, database, monkeypatch):
        self.steady, self.step_s, self.waits, self.sleeps, self.reads = 0.0, 0.0, [], [], []
        clock = ServerClock(lambda: self.steady, lambda: NOW / 1000)
        self.database, database.clock, database.read_clock = database, clock, self.read_clock
        monkeypatch.setattr(shard_ticker, "time", SimpleNamespace(monotonic=lambda: self.steady, sleep=self.sleep))

    def read_clock(self):
        self.reads.append(self.steady)
        self.database.clock.correct(NOW + (self.steady + self.step_s) * 1000)
        return self.database.clock.now_ms()

    def listen(self):
        pass

    def wait(self, seconds):
        self.waits.append(seconds)
        self.steady += seconds + 0.0019 * (seconds > 0)
        return set()

    def sleep(self, seconds):
        self.sleeps.append(seconds)
        self.steady += seconds


@pytest.fixture
def timeline(database, monkeypatch):
    return Timeline(database, monkeypatch)


@pytest.fixture
def earlier_worker(database):
    """A worker of an earlier release, which begins what it fetches at once: so nothing is claimed ahead."""
    database.call(heartbeats.beat_worker(database.keys, "earlier", NOW, 30_000, 0, b"{}"))


def fire_once(database, timeline):
    """Pass after pass until the first instant of a job is decided."""
    definition = job(overlap="allow")
    register(database, definition)
    one = build_ticker(database)
    while not one._fired:
        one._run_pass(timeline)
    (fired,) = read_occurrences(database, definition)
    assert (fired.due * 1000 - NOW, fired.late_ms) == (MINUTE * 1000, 0)


def test_an_instant_is_fired_on_the_dot_though_the_wait_for_wake_ups_ends_late(database, earlier_worker, timeline):
    fire_once(database, timeline)
    # It slept once, for the last milliseconds, and did not go round and round meanwhile.
    assert timeline.sleeps == [pytest.approx(0.0011, abs=1e-6)]
    assert min(timeline.waits) >= 0 and len(timeline.waits) < 100


def test_a_server_clock_that_has_stepped_back_meanwhile_fires_nothing_early(database, earlier_worker, timeline):
    definition = job(overlap="allow")
    register(database, definition)
    one = build_ticker(database)
    one._run_pass(timeline)
    while timeline.steady < MINUTE - 0.005:
        one._run_pass(timeline)
    timeline.step_s = -0.4
    while not one._fired:
        one._run_pass(timeline)
    (fired,) = read_occurrences(database, definition)
    # By the time that the server had told right before, and not a millisecond before the instant by its present clock.
    assert fired.late_ms == 0
    assert timeline.reads[-1] == pytest.approx(MINUTE + 0.4, abs=0.003)


def test_an_instant_is_claimed_ahead_in_the_last_milliseconds_before_it(database, timeline):
    fire_once(database, timeline)
    # The server was asked for its time right before, and the ticker slept until the claims begin.
    assert timeline.reads[-1] + timeline.sleeps[-1] == pytest.approx(MINUTE - MIN_LEAD_MS / 1000, abs=1e-6)
    assert len(timeline.waits) < 100


@pytest.fixture
def full_looks(database, timeline):
    """When a ticker of one job took a full look, until a second after the first instant."""
    register(database, job(overlap="allow"))
    one, looks = build_ticker(database, TickerSettings(pass_s=0.1, horizon_s=120)), []
    look = one.poll

    def poll(*, full):
        looks.extend([timeline.steady] if full else [])
        look(full=full)

    one.poll = poll

    def run():
        while timeline.steady < MINUTE + 1:
            one._run_pass(timeline)
        return looks, one

    return run


def test_no_full_look_is_taken_in_the_last_moments_before_an_instant(timeline, full_looks):
    looks, _ = full_looks()
    assert [at for at in looks if MINUTE - CLEAR_S < at < MINUTE - MIN_LEAD_MS / 1000] == []
    # Elsewhere one comes after the other, and the one that was put off comes at once.
    assert len([at for at in looks if MINUTE - 1 < at < MINUTE]) >= 7
    assert min(at for at in looks if at > MINUTE) < MINUTE + 0.1
    # It did not go round and round meanwhile.
    assert len(timeline.waits) < 3 * len(looks)


def test_what_can_wait_waits_until_the_runs_of_a_large_instant_have_begun(timeline, full_looks, monkeypatch):
    # As with thousands of jobs at the instant: their claims begin 253 ms before it.
    monkeypatch.setattr(upcoming, "MS_PER_JOB", 250)
    builds, prepare = [], upcoming.UpcomingJobs.prepare_claims
    monkeypatch.setattr(
        upcoming.UpcomingJobs,
        "prepare_claims",
        lambda *args: (builds.extend([timeline.steady] if args[0].has_unprepared else []), prepare(*args)),
    )
    looks, one = full_looks()
    inside = [at for at in looks + builds if MINUTE - 0.26 < at < MINUTE + 0.253]
    assert inside == []
    # Both go on at once when that is over, and the ticker did not go round and round meanwhile.
    for each in (looks, builds):
        assert min(at for at in each if at > MINUTE) < MINUTE + 0.256
    assert not one.upcoming.has_unprepared
    assert len([at for at in timeline.waits if at == 0]) < 10 and len(timeline.waits) < 3 * len(looks)
