"""Tickers that come and go: each job belongs to one of those that live, and no instant waits for one that has gone."""

import threading

import pytest

from jobistemer.core.settings import TickerSettings
from jobistemer.runtime.repeat import start_thread
from jobistemer.store.calls import heartbeats
from jobistemer.store.wakeup import WakeListener
from jobistemer.ticker.shard_ticker import ShardTicker
from jobistemer.ticker.upcoming import PATIENCE_MS
from tests.support.lifecycle import job, register
from tests.support.step_system import build_ticker

MINUTE = 60
JOBS = [job(name=f"job-{number}", overlap="allow") for number in range(40)]


@pytest.fixture
def tickers(database):
    """Three tickers that know of one another and of forty jobs that are due in a minute."""
    for each in JOBS:
        register(database, each)
    found = [build_ticker(database, name=f"ticker-{number}") for number in range(3)]
    return found


def look(tickers):
    for each in tickers:
        each.poll(full=True)


def owners(tickers):
    """Job id -> the tickers that hold it for their own."""
    return {
        definition.id: [n for n, each in enumerate(tickers) if each.upcoming.jobs[definition.id].is_mine]
        for definition in JOBS
    }


def test_a_ticker_that_leaves_in_order_hands_its_jobs_over_and_the_others_keep_theirs(database, clock, tickers):
    clock.advance(MINUTE - 2)
    look(tickers)
    look(tickers)
    before = owners(tickers)
    assert {len(each) for each in before.values()} == {1}

    heartbeats.forget_ticker(database, "ticker-1")
    rest = [tickers[0], tickers[2]]
    for each in rest:
        each.poll(full=False)

    after = {name: [(0, 2)[n] for n in its] for name, its in owners(rest).items()}
    assert {len(each) for each in after.values()} == {1}
    assert all(after[name] == its for name, its in before.items() if its != [1])


def test_an_instant_of_a_ticker_that_is_gone_without_a_word_is_fired_in_the_same_pass(clock, tickers):
    clock.advance(MINUTE - 2)
    look(tickers)
    look(tickers)
    clock.advance(2)
    # Two of them die now; the third believes in them for ten seconds, and fires all instants all the same.
    assert tickers[0].process_due() == len(JOBS)


def test_the_instants_of_the_others_are_left_to_them_for_a_moment_and_fired_when_they_are_not(clock, tickers):
    clock.advance(MINUTE - 2)
    look(tickers)
    for each in tickers:
        each.upcoming.patience_ms = PATIENCE_MS
    look(tickers)
    own = [sum(known.is_mine for known in each.upcoming.jobs.values()) for each in tickers]
    clock.advance(2)
    # All are there: each fires its own, and nobody asks for the others'
    assert [each.process_due() for each in tickers] == own
    clock.advance(PATIENCE_MS / 1000)
    assert [each.process_due() for each in tickers] == [0, 0, 0]

    # Two of them die: the third fires what is theirs a moment later
    clock.advance(MINUTE - 2 - PATIENCE_MS / 1000)
    look(tickers)
    look(tickers)
    clock.advance(2)
    assert tickers[0].process_due() == own[0]
    clock.advance(PATIENCE_MS / 1000)
    assert tickers[0].process_due() == own[1] + own[2]


def test_who_starts_and_who_leaves_has_the_others_look_at_once(database, clock):
    listener = WakeListener(database)
    listener.listen()
    stop = threading.Event()
    ticker = ShardTicker(database, TickerSettings(), "new")
    thread = start_thread(lambda: ticker.run(stop), "ticker")
    assert listener.wait(60) == {"ticker"}
    stop.set()
    thread.join()
    assert listener.wait(60) == {"ticker"}
    listener.close()
