"""Limits under everything that can happen to those who hold them: never above, and nothing waits for ever."""

from __future__ import annotations

import itertools
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from jobistemer.core.jobs.limits import Concurrency, Rate
from jobistemer.core.settings import WorkerSettings
from jobistemer.core.states import TERMINAL_RUNS
from jobistemer.store.actions import hand_back
from jobistemer.store.actions.cancel import cancel_run
from jobistemer.store.calls import limits
from jobistemer.ticker.sweep import Sweeper
from tests.support.clocks import FrozenClock
from tests.support.parts import examples
from tests.support.shard_state import find_leaks
from tests.support.step_system import StepWorker, build_ticker, open_app

AT_A_TIME, PER_CUSTOMER, STARTS, PERIOD_S = 3, 1, 4, 10.0
_names = itertools.count()


class Limits(RuleBasedStateMachine):
    """Two workers, one of which dies now and then, a task with three limits, and calls for three customers."""

    @initialize()
    def begin(self) -> None:
        self.clock = FrozenClock()
        self.app = open_app(f"fake://limits-{next(_names)}", self.clock)

        @self.app.task(
            limits=[Concurrency(AT_A_TIME), Concurrency(PER_CUSTOMER, key="{customer}"), Rate(STARTS, per_s=PERIOD_S)]
        )
        def serve(customer: int) -> None: ...

        self.serve = serve
        self.database = self.app.namespace.shards[0]
        self.handles, self.starts, self.flying = [], [], {}
        self.workers = [self.hire(name) for name in ("alice", "bob")]

    def hire(self, name: str) -> StepWorker:
        worker = StepWorker(self.database, self.app, name, WorkerSettings(concurrency=10))
        worker.beat()
        return worker

    @rule(customer=st.integers(1, 3), count=st.integers(1, 3))
    def call(self, customer: int, count: int) -> None:
        self.handles += [self.serve.enqueue(customer=customer) for _ in range(count)]

    @rule(which=st.integers(0, 1))
    def fetch(self, which: int) -> None:
        worker = self.workers[which]
        before = set(worker.waiting)
        for attempt in worker.fetch():
            if attempt not in before:
                self.starts.append(self.clock.now_ms())
                self.flying[attempt] = worker

    @rule(which=st.integers(0, 1), leaks=st.booleans())
    def end(self, which: int, leaks: bool) -> None:
        """What a worker has ends; perhaps the worker dies before it gives back what its runs held."""
        worker = self.workers[which]
        for attempt in list(worker.waiting):
            attempt.limit_uses = () if leaks else attempt.limit_uses
            self.flying.pop(attempt)
        worker.execute()
        worker.commit()

    @rule(which=st.integers(0, 1))
    def hand_back(self, which: int) -> None:
        worker = self.workers[which]
        hand_back.hand_back(self.database, [each.delivery for each in worker.waiting], worker.name)
        for attempt in worker.waiting:
            self.flying.pop(attempt)
            # It never started, whatever the rate has counted.
        worker.prefetch.remove([each.key for each in worker.waiting])
        worker.waiting.clear()

    @rule(which=st.integers(0, 1))
    def die(self, which: int) -> None:
        dead = self.workers[which]
        for attempt in dead.waiting:
            self.flying.pop(attempt)
        heir = self.workers[1 - which]
        for _ in range(2):
            heir.reclaimer.observe({dead.name: dead.beater.last_beat_ms}, heir.queue_order.all_places())
        self.workers[which] = self.hire(f"{dead.name}+")

    @rule(which=st.integers(0, 50))
    def cancel(self, which: int) -> None:
        if which < len(self.handles):
            cancel_run(self.database, self.handles[which].id, "not needed")

    @rule(seconds=st.sampled_from([0.5, 3.0, 11.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        build_ticker(self.database).tick()

    @rule()
    def sweep(self) -> None:
        limits.sweep_limits(self.database)

    @invariant()
    def no_limit_is_exceeded(self) -> None:
        flying = Counter(
            attempt.handler.decode(attempt.delivery.message.payload)["customer"]
            for attempt in getattr(self, "flying", ())
        )
        assert flying.total() <= AT_A_TIME
        assert all(count <= PER_CUSTOMER for count in flying.values())

    @invariant()
    def no_rate_is_exceeded(self) -> None:
        starts = getattr(self, "starts", [])
        pairs = zip(starts, starts[STARTS:], strict=False)
        assert all(later - earlier >= PERIOD_S * 1000 for earlier, later in pairs)

    def teardown(self) -> None:
        """When faults stop, everything comes to its end and nothing is left."""
        if not hasattr(self, "app"):
            return
        for _ in range(400):
            if all(handle.state() in TERMINAL_RUNS for handle in self.handles):
                break
            Sweeper(self.database).sweep()
            self.time_passes(3.0)
            for which in (0, 1):
                self.fetch(which)
                self.no_limit_is_exceeded()
                self.no_rate_is_exceeded()
                self.end(which, leaks=False)
        assert all(handle.state() in TERMINAL_RUNS for handle in self.handles)
        limits.sweep_limits(self.database)
        assert not {key: value for key, value in find_leaks(self.database).items() if not key.startswith("run:")}


TestLimits = Limits.TestCase
TestLimits.settings = settings(max_examples=examples(25), stateful_step_count=25, deadline=None)
