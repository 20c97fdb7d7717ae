"""Runs that were claimed ahead and may begin under conditions: nobody waits for them, and they ask at their instant."""

import threading

import pytest

from jobistemer.core.handlers.handler import Handler
from jobistemer.core.jobs.limits import Concurrency, Rate
from jobistemer.core.jobs.options import Options
from jobistemer.core.runs.message import TaskRef
from jobistemer.store.actions import hand_back
from jobistemer.store.calls import holds
from jobistemer.store.calls.returned_runs import Unstarted
from jobistemer.worker.fetch.early import EarlyAttempts, is_early
from tests.integration.worker.test_fetching import Bench
from tests.support.clocks import NOW
from tests.support.lifecycle import enqueue

AHEAD_MS = 200


class Slots:
    """What was put into slots."""

    def __init__(self, expected):
        self.attempts, self.all_put, self._expected = [], threading.Event(), expected

    def put(self, attempts):
        self.attempts += attempts
        if len(self.attempts) == self._expected:
            self.all_put.set()


@pytest.fixture
def build(database):
    """Build a worker with room for eight that keeps what is not due yet."""
    kept = []

    def build(*limits, expected=1):
        bench, slots = Bench(database, {"default": 0}, room=8), Slots(expected)
        bench.fetcher._handlers["send"] = Handler("send", lambda: None, Options(limits=limits))
        early = EarlyAttempts(database.clock, bench.prefetch, slots.put, bench.fetcher.admit, most_s=60)
        bench.fetcher.keep_unadmitted = early.add
        kept.append(early)
        return bench, slots, early

    yield build
    for early in kept:
        early.take_unstarted()


def enqueue_early(database, run, handler="send", **changes):
    ref = TaskRef("report@0", "report", 1, 0, "only")
    enqueue(database, run, handler=handler, enqueued_at=NOW + AHEAD_MS, task_ref=ref, **changes)


CONDITIONS = [
    ((Rate(5, 60),), {}),
    ((Concurrency(1),), {}),
    ((), {"expires_at": NOW + 60_000}),
    ((), {"unique": "one", "unique_queued": True}),
]


@pytest.mark.parametrize(("limits", "changes"), CONDITIONS)
def test_a_call_does_not_wait_for_a_run_that_waits_for_its_instant(database, build, limits, changes):
    bench, slots, _ = build(*limits)
    enqueue_early(database, "run_early", **changes)
    bench.step()
    assert bench.prefetch.in_flight == 1

    # The clock stands: whoever waited for the instant would wait for a second.
    enqueue(database, "run_call")
    bench.step()
    assert [each.delivery.message.run for each in bench.taken] == ["run_call"]
    assert slots.attempts == []

    database.clock.advance(AHEAD_MS / 1000)
    assert slots.all_put.wait(60)
    assert [each.delivery.message.run for each in slots.attempts] == ["run_early"]
    assert bench.prefetch.in_flight == 2


def test_what_may_not_begin_at_its_instant_takes_no_room_any_more(database, build):
    # Given one permit, and two runs that are due at the same instant
    bench, slots, _ = build(Concurrency(1))
    enqueue_early(database, "run_1")
    enqueue_early(database, "run_2")
    bench.step()
    database.clock.advance(AHEAD_MS / 1000)
    assert slots.all_put.wait(60)

    # Then one begins with the permit, and the other one waits on the server
    assert [(each.delivery.message.run, len(each.limit_uses)) for each in slots.attempts] == [("run_1", 1)]
    assert bench.prefetch.entries() == {slots.attempts[0].key}


def test_a_hold_that_comes_between_the_fetch_and_the_instant_counts(database, build):
    # Given a run that was fetched while another task was on hold, and another one
    bench, slots, _ = build()
    bench.queue_order.on_hold = frozenset({holds.task_scope("other")})
    enqueue_early(database, "run_early")
    enqueue_early(database, "run_greet", "greet")
    bench.step()
    assert (bench.taken, bench.prefetch.in_flight) == ([], 2)

    # When its own task is put on hold
    holds.put_hold([database], holds.task_scope("send"), NOW + 60_000)
    bench.queue_order.on_hold = frozenset({holds.task_scope("send")})
    database.clock.advance(AHEAD_MS / 1000)

    # Then it waits, and the other one begins
    assert slots.all_put.wait(60)
    assert [each.delivery.message.run for each in slots.attempts] == ["run_greet"]
    assert [hold.parked for hold in holds.list_holds([database])] == [1]


def test_permits_of_a_run_that_is_given_back_before_its_instant_stay_on_record(database, build):
    # Given a run that was admitted, was given back with its permit, and comes again before its instant
    bench, _, _ = build(Concurrency(1))
    enqueue_early(database, "run_1")
    bench.fetcher.keep_unadmitted = None
    bench.step()
    (admitted,) = bench.taken
    uses = admitted.limit_uses
    assert uses
    hand_back.return_unstarted(database, [Unstarted(admitted.delivery, uses)], "alice")

    # When another worker keeps it and is asked to end
    other, _, early = build(Concurrency(1))
    other.step()
    (kept,) = early.take_unstarted()
    assert kept.limit_uses == uses


def test_a_call_on_another_queue_does_not_wait_behind_what_is_kept(database):
    # Given a worker with room for two that keeps as many runs as can begin soon, while more lie on their queue
    bench = Bench(database, {"default": 0, "mail": 0}, room=2)
    bench.fetcher._handlers["send"] = Handler("send", lambda: None, Options())
    early = EarlyAttempts(database.clock, bench.prefetch, lambda _: None, most_s=60)
    for number in range(20):
        enqueue_early(database, f"run_{number:02}")

    def step():
        bench.taken.clear()
        bench.step()
        early.add([each for each in bench.taken if is_early(each, NOW)])
        return [each.delivery.message.run for each in bench.taken]

    kept = [run for _ in range(5) for run in step()]
    assert kept == ["run_00", "run_01"]

    # When a call comes to another queue
    enqueue(database, "run_mail", queue="mail")

    # Then it is taken at once, and at the instant the rest of the others
    assert step() == ["run_mail"]
    # Nothing more of the others is taken until then.
    assert step() == []
    assert len(early.take_unstarted()) == 2
    bench.prefetch.remove(list(bench.prefetch.entries()))
    assert step() == ["run_02", "run_03"]
    early.take_unstarted()
