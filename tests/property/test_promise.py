"""The promise, as a machine that tries to break it: tickers, workers, people, outages and clock steps in any order,
against the invariants I1–I10. Longer with `JOBISTEMER_PROMISE=5000x80 pytest tests/property/test_promise.py`.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from contextlib import contextmanager, suppress
from itertools import count

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from jobistemer.core import ids
from jobistemer.core.errors import NotConnected, UnknownJob
from jobistemer.core.settings import TickerSettings
from jobistemer.store.calls.jobs import find_job
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys
from jobistemer.store.server.connection import connect
from jobistemer.ticker.shard_ticker import ShardTicker
from tests.support.audit import find_faults
from tests.support.clocks import FrozenClock
from tests.support.durable_rules import LEASE_S, DurableRules
from tests.support.invariants import NAMES, InvariantChecker, deploy_app
from tests.support.operator_rules import OVERLAPS, RECOVERIES, OperatorRules
from tests.support.parts import examples
from tests.support.shard_state import find_leaks
from tests.support.step_system import StepWorker, break_next, build_ticker

EXAMPLES, STEPS = (int(each) for each in os.environ.get("JOBISTEMER_PROMISE", f"{examples(200, 8)}x50").split("x"))
SERVERS = count()
AWAY: set[str] = set()
"""Servers that do not answer at present, by their addresses."""
ASKED: Counter[str] = Counter()
"""How often each server was asked for something."""
SLOWLY = TickerSettings(catch_up=7)
MINUTE_MS = 60_000

some_names = st.sampled_from(NAMES)
which = st.integers(0, 1)


def policies():
    chosen = st.fixed_dictionaries(
        {
            "overlap": st.sampled_from(OVERLAPS),
            "recovery": st.sampled_from(RECOVERIES),
            "grace_s": st.sampled_from([0, 10, 200]),
            "max_queued": st.sampled_from([0, 2, 100]),
            "recovery_limit": st.just(3),
            "catch_up_per_s": st.just(50),
            "pause_on_failure": st.sampled_from([0, 0, 2]),
            "failure": st.sampled_from(["fail_fast", "continue"]),
        }
    )
    return st.fixed_dictionaries(dict.fromkeys(NAMES, chosen))


class Promise(DurableRules, OperatorRules):
    """Two tickers and two workers; those that die are followed by others, and zombies wake up."""

    @initialize(chosen=policies())
    def begin(self, chosen):
        self.url = f"fake://promise{next(SERVERS)}"
        self.clock = FrozenClock()
        self.database = self.opened()
        self.ledger = InvariantChecker(self.database, self.clock)
        self.steps = self.ledger.steps
        self.outcomes: list[str] = []
        self.policies = chosen
        self.earlier = []
        self.app = deploy_app(self.url, self.clock, self.ledger, chosen, self.outcomes)
        self.names = count()
        self.tickers = [self.started(f"ticker{n}") for n in (0, 1)]
        self.workers = [self.hired(), self.hired()]
        self.zombies: list[StepWorker] = []
        self.deaths = self.checked = 0

    def opened(self) -> Database:
        return Database(connect(self.url), Keys("test", 0), self.clock, self.url)

    def started(self, name: str) -> ShardTicker:
        ticker = build_ticker(self.opened(), SLOWLY, name)
        ticker.upcoming.claims_ahead = True
        return ticker

    def hired(self) -> StepWorker:
        worker = StepWorker(self.opened(), self.app, f"worker{next(self.names)}")
        worker.beat()
        return worker

    def reaches_the_server(self):
        return self.url not in AWAY

    @contextmanager
    def whatever_happens(self):
        try:
            yield
        except NotConnected:
            assert self.url in AWAY

    # Time

    @rule(seconds=st.sampled_from([0.4, 1, 7, 30, 61, 119, 300, 900]))
    def time_goes_by(self, seconds):
        self.clock.advance(seconds)

    @rule(seconds=st.sampled_from([1, 29, 95]))
    def the_clock_steps_back(self, seconds):
        self.clock.advance(-seconds)
        self.ledger.has_stepped_back = True

    @rule()
    def a_minute_is_about_to_begin(self):
        # So that the tickers claim it ahead.
        self.clock.advance((MINUTE_MS - 2 - self.clock.now_ms() % MINUTE_MS) % MINUTE_MS / 1000)

    @rule()
    def the_server_goes_away(self):
        AWAY.add(self.url)

    @rule()
    def the_server_comes_back(self):
        AWAY.discard(self.url)

    @rule(minutes=st.integers(1, 3), end=st.lists(st.sampled_from(["succeed", "fail"]), max_size=4))
    def business_as_usual(self, minutes, end):
        self.outcomes[:] = end
        with self.whatever_happens():
            for _ in range(minutes):
                self.clock.advance(60)
                self.everybody_does_something()

    def everybody_does_something(self):
        for each in self.tickers:
            each.tick()
        for each in self.workers:
            each.beat()
            each.watchdog.step()
            each.execute()
            each.commit()
            each.work()

    # Tickers

    @rule(which=which)
    def a_ticker_ticks(self, which):
        with self.whatever_happens():
            self.tickers[which].tick()

    @rule()
    def both_look_before_either_acts(self):
        with self.whatever_happens():
            for each in self.tickers:
                each.poll(full=True)
            for each in self.tickers:
                each.process_due()

    @rule(which=which, after=st.booleans())
    def a_ticker_dies_over_its_claims(self, which, after):
        dying = self.tickers[which]
        cut = break_next(dying._database, "call_all", KeyboardInterrupt, after=after)
        with cut, suppress(KeyboardInterrupt, NotConnected):
            dying.tick()
        self.tickers[which] = self.started(f"ticker{next(self.names)}")

    # Workers

    @rule(which=which, end=st.lists(st.sampled_from(["succeed", "fail"]), max_size=4))
    def a_worker_works(self, which, end):
        self.outcomes[:] = end
        with self.whatever_happens():
            self.workers[which].work()

    @rule(which=which)
    def a_worker_fetches(self, which):
        with self.whatever_happens():
            self.workers[which].fetch()

    @rule(which=which, end=st.lists(st.sampled_from(["succeed", "fail"]), max_size=4))
    def a_worker_executes_what_it_has(self, which, end):
        self.outcomes[:] = end
        with self.whatever_happens():
            self.workers[which].execute()

    @rule(which=which)
    def a_worker_commits(self, which):
        with self.whatever_happens():
            self.workers[which].commit()

    @rule(which=which, after=st.booleans())
    def the_answer_to_a_commit_is_lost(self, which, after):
        worker = self.workers[which]
        with break_next(worker.database, "call_all", lambda: NotConnected("cut"), after=after) as broken:
            try:
                worker.commit()
            except NotConnected:
                assert broken or self.url in AWAY

    @rule(which=which)
    def a_worker_beats(self, which):
        with self.whatever_happens():
            self.workers[which].beat()
            self.workers[which].watchdog.step()

    @rule(which=which)
    def a_worker_dies(self, which):
        with self.whatever_happens():
            hired = self.hired()
            self.deaths += 1
            self.zombies.append(self.workers[which])
            self.workers[which] = hired

    @precondition(lambda self: self.zombies)
    @rule()
    def a_zombie_wakes_up(self):
        with self.whatever_happens():
            zombie = self.zombies.pop()
            zombie.execute()
            self.deaths += 1
            zombie.commit()

    @invariant()
    def the_promise_holds(self):
        # Where nobody has asked the server for anything, nothing has changed.
        if hasattr(self, "ledger") and self.reaches_the_server() and ASKED[self.url] != self.checked:
            self.ledger.check(self.deaths)
            self.checked = ASKED[self.url]

    def teardown(self):
        if not hasattr(self, "ledger"):
            return
        AWAY.discard(self.url)
        self.outcomes.clear()
        self.zombies.clear()
        # Each has decided what was due; from here on nothing new runs.
        self.app.queues.resume("default")
        for name in NAMES:
            with suppress(UnknownJob):
                self.app.control.pause(name)
        for _ in range(400):
            self.clock.advance(LEASE_S)
            self.everybody_does_something()
            if self.at_rest():
                break
        assert self.at_rest(), "it does not come to rest: I3"
        self.ledger.check_at_rest(self.deaths)
        assert find_faults(self.database) == [], "I1, I2"
        assert find_leaks(self.database) == {}, "I9"

    def at_rest(self):
        keys, client = self.database.keys, self.database.client
        sets = [key(ids.job_id(name)) for name in NAMES for key in (keys.live, keys.queued)]
        # An update that waits for its window may wait.
        chores = any(not each.startswith(b"update:") for each in client.zrange(keys.chores, 0, -1))
        return not chores and not client.exists(*sets, keys.delayed, keys.starts) and not self.lags()

    def lags(self):
        """Whether a job has instants to catch up with: at its pace, or when a clock that stepped back comes there."""
        stored = [find_job(self.database, name) for name in NAMES]
        return any(each.job.schedule.next_unix(each.cursor) <= self.clock.now_ms() // 1000 for each in stored if each)


def guarded(method):
    """The method of a database, as it is while its server may be away."""

    def asked(database, *args, **kwargs):
        if database.address in AWAY:
            raise NotConnected(f"{database.address} is away")
        ASKED[database.address] += 1
        return method(database, *args, **kwargs)

    return asked


@pytest.mark.timeout(EXAMPLES * STEPS * 0.3)
def test_whatever_happens_the_promise_is_kept(monkeypatch, caplog):
    monkeypatch.setattr(Database, "ask", guarded(Database.ask))
    monkeypatch.setattr(Database, "_pipeline", guarded(Database._pipeline))
    chosen = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    with caplog.at_level(logging.CRITICAL, "jobistemer"):
        run_state_machine_as_test(Promise, settings=chosen)
