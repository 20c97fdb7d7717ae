"""What durable handlers do and what people do to them, as rules of a state machine, and the invariants of their records."""

from __future__ import annotations

import contextvars
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from itertools import count
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from jobistemer import Context, Delays, Jobistemer, RunEnded, Snooze, UnknownRun
from jobistemer.core.errors import NotConnected
from jobistemer.core.runs.message import Delivery, decode_message
from jobistemer.core.runs.records import RunRecord
from jobistemer.core.runs.steps import WAIT, StepRecord, decode_steps
from jobistemer.core.states import TERMINAL_RUNS
from jobistemer.core.unreadable import to_text
from jobistemer.store.actions import hand_back
from jobistemer.store.actions.cancel import cancel_run
from jobistemer.store.calls.durable.steps import read_steps
from jobistemer.store.database import Database
from jobistemer.store.reads import records
from tests.support.clocks import FrozenClock
from tests.support.step_system import StepWorker, break_next

RETRY = Delays((5.0, 20.0))
MAX_FAILURES = 3
LEASE_S = 16
plans = st.lists(
    st.sampled_from(["step", "step", "fail twice", "sleep 0.3", "sleep 2", "sleep 70", "wait", "snooze", "map"]),
    min_size=1,
    max_size=5,
)
some_number = st.integers(0, 40)


class StepChecker:
    """What was seen of the records of durable runs so far, and what their handlers really did."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ended: dict[tuple[str, str], StepRecord] = {}
        self._values: dict[tuple[str, str], int] = {}
        self._tokens = count(1)
        self._snoozed: set[tuple[str, int]] = set()
        self.runs: list[str] = []
        self.effects: Counter[tuple[str, str]] = Counter()
        self.cut: Counter[tuple[str, str]] = Counter()
        """How often the record of a step could not be written since the server was away."""
        self.failures: Counter[tuple[str, str]] = Counter()
        self.wrong: list[str] = []
        self.on_step: Callable[[], object] = lambda: None
        """Is called in each step."""

    def take_step(self, ctx: Context, name: str, outcomes: list[str], fails: int = 0) -> None:
        """Take a step whose value tells one call of its function from all others. fails: how often it fails first."""
        key = (ctx.run, name)

        def act() -> int:
            self.effects[key] += 1
            self.on_step()
            if self.failures[key] < fails or (outcomes and outcomes.pop() == "fail"):
                self.failures[key] += 1
                raise ValueError("as the test wants it")
            return next(self._tokens)

        try:
            value = ctx.step(name, act)
        except NotConnected:
            self.cut[key] += 1
            raise
        # Not asserted here, where it would be a failure of the handler.
        if self._values.setdefault(key, value) != value:
            self.wrong.append(f"step {name} of {ctx.run} has two values")

    def snooze_once(self, ctx: Context, place: int) -> None:
        """Put the run off, the first time that it comes here."""
        if (ctx.run, place) not in self._snoozed:
            self._snoozed.add((ctx.run, place))
            raise Snooze(after=30)

    def check(self, deaths: int) -> None:
        """What holds at every moment."""
        assert self.wrong == []
        found = records.find_runs(self._database, self.runs)
        suspended = {run.id for run in found if run.state == "suspended"}
        if suspended:
            self._hold_nothing(suspended, [run for run in found if run.id in suspended])
        for run in found:
            self._check_steps(run, deaths)

    def read_lost(self, deliveries: list[Delivery]) -> dict[str, dict[bytes, bytes]]:
        """Return the records of the runs whose attempts have been ended by somebody else, by run."""
        runs = {each.id: each for each in records.find_runs(self._database, [each.message.run for each in deliveries])}
        owned = {each.message.run: to_text(each.entry) for each in deliveries}
        lost = [run for run, record in runs.items() if record.entry != owned[run]]
        return {run: read_steps(self._database, run) for run in lost}

    def _hold_nothing(self, suspended: set[str], runs: list[RunRecord]) -> None:
        keys, client = self._database.keys, self._database.client
        for place in client.smembers(keys.streams):
            entries: Any = client.xrange(keys.stream(to_text(place)))
            runs_there = {decode_message(fields[b"m"]).run for _, fields in entries}
            assert not runs_there & suspended, f"suspended runs have entries: {runs_there & suspended}"
        for run in runs:
            assert run.entry == "", f"{run.id} is suspended and has entry {run.entry}"
            assert client.zscore(keys.delayed, f"{run.place}:{run.id}") is not None, f"{run.id} is never woken: I3"

    def _check_steps(self, run: RunRecord, deaths: int) -> None:
        steps = decode_steps(read_steps(self._database, run.id))
        for name, record in steps.items():
            key = (run.id, name)
            if key in self._ended:
                assert record == self._ended[key], f"step {name} of {run.id} was recorded twice"
            elif record.done:
                self._ended[key] = record
            # A worker that was taken for dead finds out when it writes the record.
            allowed = 1 + deaths + run.crashes + self.cut[key] + self.failures[key]
            assert self.effects[key] <= allowed, f"step {name} of {run.id} was executed {self.effects[key]} times"
        taken = [each.signal for each in steps.values() if each.kind == WAIT and each.signal]
        assert len(taken) == len(set(taken)), f"{run.id} has taken a signal twice: {taken}"

    def check_at_rest(self, deaths: int) -> None:
        """What holds when nothing goes on any more: each run has ended, and no suspension has used up a retry."""
        self.check(deaths)
        for run in records.find_runs(self._database, self.runs):
            assert run.state in TERMINAL_RUNS, f"{run.id} never ended: I3"
            states = Counter(str(each.state) for each in records.find_attempts(self._database, run))
            if run.state == "dead":
                assert states["failed"] == MAX_FAILURES or states["lost"], f"{run.id} is dead after {states}"


def declare_tale(app: Jobistemer, checker: StepChecker, outcomes: list[str]) -> None:
    """A task that does what its plan says."""

    @app.task(retry=RETRY)
    def part(number: int) -> int:
        return number

    @app.task(retry=RETRY)
    def tale(plan: list[str], ctx: Context) -> None:
        for place, each in enumerate(plan):
            what, _, much = each.partition(" ")
            match what:
                case "step":
                    checker.take_step(ctx, f"step-{place}", outcomes)
                case "fail":
                    checker.take_step(ctx, f"fail-{place}", outcomes, fails=MAX_FAILURES - 1)
                case "sleep":
                    ctx.sleep(float(much), name=f"sleep-{place}")
                case "wait":
                    ctx.wait_for("go", int, timeout=100, key=place)
                case "snooze":
                    checker.snooze_once(ctx, place)
                case "map":
                    assert ctx.step_map(f"map-{place}", part, [1, 2, 3]) == [1, 2, 3]


class DurableRules(RuleBasedStateMachine):
    """Rules for a machine that has these, and that says whether the server can be reached."""

    clock: FrozenClock
    database: Database
    app: Jobistemer
    outcomes: list[str]
    workers: list[StepWorker]
    zombies: list[StepWorker]
    deaths: int
    steps: StepChecker

    def whatever_happens(self) -> AbstractContextManager[None]:
        """See OperatorRules."""
        raise NotImplementedError

    def reaches_the_server(self) -> bool:
        """See OperatorRules."""
        raise NotImplementedError

    def hired(self) -> StepWorker:
        """A new worker."""
        raise NotImplementedError

    @rule(plan=plans)
    def somebody_enqueues_a_durable_run(self, plan: list[str]) -> None:
        with self.whatever_happens():
            self.steps.runs.append(self.app.enqueue("tale", {"plan": plan}).id)

    def one_of_the_runs(self, number: int) -> str:
        return self.steps.runs[number % len(self.steps.runs)]

    @precondition(lambda self: self.steps.runs)
    @rule(number=some_number, signal=st.integers(0, 2))
    def somebody_sends_a_signal(self, number: int, signal: int) -> None:
        with self.whatever_happens(), suppress(RunEnded, UnknownRun):
            self.app.signal(self.one_of_the_runs(number), "go", signal, signal_id=f"signal-{signal}")

    @precondition(lambda self: self.steps.runs and self.reaches_the_server())
    @rule(number=some_number)
    def somebody_cancels_a_durable_run(self, number: int) -> None:
        cancel_run(self.database, self.one_of_the_runs(number), "for the test")

    @rule(which=st.integers(0, 1), steps=st.integers(0, 2))
    def a_worker_ends_in_order(self, which: int, steps: int) -> None:
        """It is told so within a step, and gives back its durable runs behind it; the other runs end."""
        self.outcomes.clear()
        left = count(steps, -1)
        with self.whatever_happens():
            hired, leaving = self.hired(), self.workers[which]

            def end_behind() -> None:
                if next(left) <= 1:
                    leaving.is_shutting_down.set()

            leaving.fetch()
            if steps:
                self.steps.on_step = end_behind
            else:
                leaving.is_shutting_down.set()
            leaving.execute()
            leaving.commit()
            leaving.give_early_back()
            self.workers[which] = hired
        self.steps.on_step = lambda: None

    @rule(which=st.integers(0, 1), after=st.booleans())
    def the_answer_to_a_record_is_lost(self, which: int, after: bool) -> None:
        """The record of a step is written or not, and its handler does not know."""
        self.outcomes.clear()
        with self.whatever_happens():
            worker = self.workers[which]
            worker.fetch()
            with break_next(worker.database, "call", lambda: NotConnected("cut"), after=after):
                worker.execute()
            worker.commit()

    @precondition(lambda self: self.steps.runs and self.reaches_the_server())
    @rule(which=st.integers(0, 1))
    def a_worker_stalls_within_a_step(self, which: int) -> None:
        """Others take over its runs meanwhile. Then it goes on, and writes nothing (I7)."""
        self.outcomes.clear()
        stalled, heir = self.workers[which], self.workers[1 - which]
        self.workers[which] = self.hired()
        deliveries = [each.delivery for each in stalled.fetch()]
        left: dict[str, dict[bytes, bytes]] = {}

        def stall() -> None:
            self.steps.on_step = lambda: None
            for seconds in (LEASE_S + 1, 1):
                self.clock.advance(seconds)
                heir.beat()
            heir.work()
            left.update(self.steps.read_lost(deliveries))

        # In a context of its own: what the heir executes is not within the step of the worker that stalls.
        self.steps.on_step = lambda: contextvars.Context().run(stall)
        stalled.execute()
        self.steps.on_step = lambda: None
        self.deaths += bool(left)
        for run, steps in left.items():
            assert read_steps(self.database, run) == steps, f"a zombie has written steps of {run}: I7"
        stalled.commit()

    @rule(which=st.integers(0, 1), zombie=st.sampled_from(["ends", "goes on later", "goes on behind another worker"]))
    def the_grace_period_of_a_worker_ends(self, which: int, zombie: str) -> None:
        """It gives back what it has not finished; code that cannot be stopped may go on."""
        with self.whatever_happens():
            hired, leaving = self.hired(), self.workers[which]
            leaving.fetch()
            hand_back.interrupt(self.database, [each.delivery for each in leaving.waiting], leaving.name)
            leaving.give_early_back()
            self.workers[which] = hired
            if zombie == "goes on later":
                self.zombies.append(leaving)
            elif zombie == "goes on behind another worker":
                hired.work()
                self.deaths += 1
                leaving.execute()
                leaving.commit()


def take_two_steps(checker: StepChecker, outcomes: list[str], executions: Counter[str]) -> Any:
    """The handler of a task that sleeps between its two steps."""

    def work(ctx: Context) -> None:
        executions[ctx.run] += 1
        if ctx.run not in checker.runs:
            checker.runs.append(ctx.run)
        checker.take_step(ctx, "before", outcomes)
        ctx.sleep(20)
        checker.take_step(ctx, "behind", outcomes)

    return work
