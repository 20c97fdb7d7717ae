"""An instant that is due and that no ticker decides is counted, logged once, and makes a ticker not ready."""

import logging

import pytest

from jobistemer.core.planning.clock_jumps import JumpPolicy
from jobistemer.core.settings import TickerSettings
from jobistemer.store.clock import ServerClock
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads.queues import list_tickers
from jobistemer.ticker import Ticker, firing_pass
from jobistemer.ticker.unaccounted import UnaccountedJobs
from tests.support.clocks import NOW
from tests.support.lifecycle import T0, job, register
from tests.support.step_system import build_ticker, read_occurrences

MINUTE = 60


@pytest.fixture
def stuck(database):
    """A job whose definition no ticker can read."""
    register(database, job())
    database.client.hset(database.keys.job(job().id), "definition", b'{"name":"report","schedule":{"kind":"sundial"}}')
    return job().name


@pytest.fixture
def look(monkeypatch):
    """`look(ticker, after=2.0)` takes a pass when so many seconds have passed by the clock of its process."""
    steady = [1000.0]

    def take(one, after=2.0):
        steady[0] += after
        monkeypatch.setattr(one.unaccounted, "_monotonic", lambda: steady[0])
        return one.tick()

    return take


def test_a_ticker_is_ready_after_its_first_look_and_not_before(database):
    one = build_ticker(database)
    assert one.reasons_not_ready() == ["it has not read the agenda lately; does the server answer?"]
    one.tick()
    assert one.reasons_not_ready() == []


def test_a_job_that_no_ticker_decides_is_counted_by_its_name_when_its_mark_stays_the_same(
    database, clock, stuck, look, caplog
):
    one = build_ticker(database)
    clock.advance(2 * MINUTE)
    look(one)
    look(one)
    # A minute late is within the grace; a millisecond more is not.
    assert one.reasons_not_ready() == []
    clock.advance(0.001)
    look(one)
    assert one.reasons_not_ready() == []
    with caplog.at_level(logging.ERROR, "jobistemer.ticker"):
        look(one)
        look(one)
    assert one.reasons_not_ready() == [f"job {stuck} is due and no ticker decides it"]
    (message,) = [each.message for each in caplog.records if "no ticker has decided" in each.message]
    assert message.startswith(f"job {stuck} is due since 60001 ms and no ticker has decided it; `jobistemer job show`")


def test_looks_that_follow_at_once_say_nothing_whatever_the_servers_clock_does_between_them(
    database, clock, stuck, look
):
    one = build_ticker(database)
    for _ in range(5):
        clock.advance(3 * MINUTE)
        look(one, after=0.1)
        assert one.reasons_not_ready() == []
    look(one, after=1.0)
    assert one.reasons_not_ready() == [f"job {stuck} is due and no ticker decides it"]


def test_a_job_that_a_busy_ticker_has_not_come_to_yet_is_accounted_for(look):
    now, found = [0.0], UnaccountedJobs(lambda: now[0])
    marks = {"job_1": NOW - 120_000, "job_2": NOW - 120_000}
    for _ in range(3):
        now[0] += 2
        found.observe(marks, NOW, lambda _: MINUTE * 1_000, untried={"job_1"})
    assert list(found.jobs) == ["job_2"]
    for _ in range(2):
        now[0] += 2
        found.observe(marks, NOW, lambda _: MINUTE * 1_000)
    assert sorted(found.jobs) == ["job_1", "job_2"]


def test_more_jobs_that_lag_than_one_pass_comes_to_are_no_fault(database, clock, look, monkeypatch):
    monkeypatch.setattr(firing_pass, "MAX_LAGGING", 2)
    for number in range(9):
        register(database, job(name=f"job-{number}", grace_s=1.0, overlap="allow"))
    one = build_ticker(database)
    clock.advance(2 * MINUTE)
    looks = 0
    while look(one):
        looks += 1
        assert one.reasons_not_ready() == []
    assert looks >= 4


def test_the_list_of_tickers_shows_how_many_are_unaccounted_for(database, clock, stuck, look):
    one = build_ticker(database)
    clock.advance(3 * MINUTE)
    for _ in range(3):
        look(one)
    (shown,) = list_tickers([database])
    assert (shown.unaccounted, shown.held_ms) == (1, 0)


def test_a_job_that_is_accounted_for_again_makes_the_ticker_ready(database, clock, stuck, look):
    one = build_ticker(database)
    clock.advance(3 * MINUTE)
    look(one)
    look(one)
    assert one.reasons_not_ready()
    register(database, job(max_queued=7), "f2", seen=1)
    look(one)
    look(one)
    assert one.reasons_not_ready() == []


def test_a_job_that_catches_up_slowly_is_accounted_for(database, clock, look):
    register(database, job(recovery="execute_all", catch_up_per_s=0.1, overlap="allow"))
    one = build_ticker(database)
    clock.advance(90 * MINUTE)
    for _ in range(20):
        look(one)
        clock.advance(2)
        assert one.reasons_not_ready() == []


def test_while_a_leap_is_not_believed_what_it_made_due_is_not_fired_and_what_is_due_anyway_is(database):
    steady, server = [0.0], [float(NOW)]
    clock = ServerClock(lambda: steady[0], lambda: NOW / 1000)
    clock.jump_policy = JumpPolicy(300_000, 60_000)
    database.clock, database.read_clock = clock, lambda: (clock.correct(server[0]), clock.now_ms())[1]
    definition = job(overlap="allow")
    register(database, definition)
    one = build_ticker(database)

    def pass_by(seconds, leap_s=0):
        steady[0] += seconds
        server[0] += (seconds + leap_s) * 1000
        one.tick()
        return [(each.due - T0) // MINUTE for each in read_occurrences(database, definition)]

    assert pass_by(MINUTE) == [1]
    assert pass_by(30, leap_s=86_400) == [1]
    assert one.reasons_not_ready() == ["the server's clock has leapt by 86400 s and is not believed yet"]
    assert pass_by(30) == [1, 2]
    # It is taken back before it is believed: nothing was fired early, and nothing is fired twice.
    assert pass_by(MINUTE, leap_s=-86_400) == [1, 2, 3]
    assert one.reasons_not_ready() == []


def test_a_step_back_fires_nothing_twice_and_nothing_early(database, clock):
    definition = job(overlap="allow")
    register(database, definition)
    one = build_ticker(database)
    clock.advance(2 * MINUTE)
    assert one.tick() == 2
    clock.advance(-90)
    assert [one.tick() for _ in range(3)] == [0, 0, 0]
    clock.advance(90 + MINUTE)
    assert one.tick() == 1
    assert all(each.late_ms >= 0 for each in read_occurrences(database, definition))


def test_a_ticker_that_has_not_reached_its_server_is_not_ready(server_url):
    assert Ticker(Namespace(server_url, "test"), TickerSettings()).ready() == ["it has not reached its server yet"]


def test_two_thousand_jobs_that_nobody_decides_are_one_line_with_their_number(caplog):
    steady = iter(range(9))
    found, now_ms = UnaccountedJobs(lambda: 2.0 * next(steady)), NOW
    marks = {f"job_{number}": NOW - 120_000 - number for number in range(2_000)}
    with caplog.at_level(logging.INFO, "jobistemer.ticker"):
        for _ in range(3):
            found.observe(marks, now_ms, lambda _: MINUTE * 1_000)
        found.observe({}, now_ms, lambda _: MINUTE * 1_000)
    stuck, again = [each.message for each in caplog.records]
    assert stuck.startswith(
        "2000 jobs are due since up to 121999 ms and no ticker has decided them: job_1999, job_1998,"
    )
    assert "and 1,995 more" in stuck
    assert again.startswith("2000 jobs are accounted for again: job_0, ")
