"""Limits as an application meets them, on workers that take their steps by hand."""

import itertools

import pytest

from jobistemer.app import Jobistemer
from jobistemer.core.jobs.limits import Concurrency, Rate
from jobistemer.core.settings import WorkerSettings
from jobistemer.core.states import RunState
from jobistemer.store.actions.cancel import cancel_run
from jobistemer.store.calls import limits
from jobistemer.ticker.sweep import Sweeper
from tests.support.shard_state import find_leaks, records
from tests.support.step_system import StepWorker, build_ticker, open_app

MANY = WorkerSettings(concurrency=50)


@pytest.fixture
def app(server_url: str, clock, database) -> Jobistemer:
    app = open_app(server_url, clock)
    app.done = []
    return app


def limited(app, *limits, name="send"):
    @app.task(name=name, limits=list(limits))
    def send(customer: int = 0, number: int = 0) -> None:
        app.done.append((customer, number))

    return send


def running(attempts):
    return [attempt.handler.decode(attempt.delivery.message.payload)["number"] for attempt in attempts]


def enqueued(send, count, customer=0):
    return [send.enqueue(customer=customer, number=number) for number in range(count)]


def test_no_more_than_the_limit_start_and_the_others_wait_with_their_reason(app, database):
    # Given a task of which two may run at a time, and five calls
    handles = enqueued(limited(app, Concurrency(2)), 5)
    worker = StepWorker(database, app, settings=MANY)

    # When a worker with room for all of them fetches
    attempts = worker.fetch()

    # Then two start, the others take none of its room, and say what they wait for
    assert running(attempts) == [0, 1]
    assert worker.prefetch.in_flight == 2
    waiting = [handle.record() for handle in handles[2:]]
    assert [(each.state, each.note) for each in waiting] == [(RunState.SCHEDULED, "waits for limit task/send")] * 3


def test_the_next_one_starts_when_one_has_ended_and_in_order_of_enqueueing(app, database):
    enqueued(limited(app, Concurrency(1)), 3)
    worker = StepWorker(database, app, settings=MANY)
    for number in range(3):
        assert running(worker.fetch()) == [number]
        worker.execute()
        worker.commit()
    assert [number for _, number in app.done] == [0, 1, 2]
    assert find_leaks(database) == {}


def test_a_key_has_a_limit_of_its_own_and_holds_up_nobody_else(app, database):
    send = limited(app, Concurrency(1, key="{customer}"))
    for customer in (7, 7, 8, 7, 9):
        send.enqueue(customer=customer, number=customer)
    worker = StepWorker(database, app, settings=MANY)
    assert running(worker.fetch()) == [7, 8, 9]


def test_limits_combine_and_a_run_takes_all_or_none(app, database):
    # Given five at a time, of each customer one
    send = limited(app, Concurrency(2), Concurrency(1, key="{customer}"))
    for number, customer in enumerate([1, 1, 2, 3]):
        send.enqueue(customer=customer, number=number)
    worker = StepWorker(database, app, settings=MANY)

    # Then the second call of customer 1 keeps no place of the two from customer 2
    assert running(worker.fetch()) == [0, 2]
    worker.execute()
    worker.commit()
    assert sorted(running(worker.fetch())) == [1, 3]
    worker.execute()
    worker.commit()
    assert find_leaks(database) == {}


def test_a_name_shares_a_limit_among_tasks(app, database):
    first = limited(app, Concurrency(1, name="printer"), name="first")
    second = limited(app, Concurrency(1, name="printer"), name="second")
    first.enqueue(number=1)
    second.enqueue(number=2)
    worker = StepWorker(database, app, settings=MANY)
    assert running(worker.fetch()) == [1]
    worker.execute()
    worker.commit()
    assert running(worker.fetch()) == [2]


def test_a_queue_has_limits_for_all_its_tasks_and_for_those_that_know_of_none(app, database):
    app.limit_queue("mail", Concurrency(1))
    one, two = limited(app, name="one"), limited(app, name="two")
    one.options(queue="mail").enqueue(number=1)
    two.options(queue="mail").enqueue(number=2)
    one.enqueue(number=3)
    worker = StepWorker(database, app, settings=WorkerSettings(concurrency=50, queues={"mail": 0, "default": 0}))
    assert sorted(running(worker.fetch())) == [1, 3]


def test_two_workers_together_do_not_exceed_a_limit(app, database):
    enqueued(limited(app, Concurrency(3)), 10)
    alice, bob = (StepWorker(database, app, name, MANY) for name in ("alice", "bob"))
    started = 0
    while len(app.done) < 10:
        took = running(alice.fetch()) + running(bob.fetch())
        assert len(took) <= 3
        started += len(took)
        for worker in (alice, bob):
            worker.execute()
            worker.commit()
    assert started == 10
    assert find_leaks(database) == {}


def test_a_dead_worker_gives_back_what_its_runs_held(app, database):
    # Given a worker that holds the only slot and dies
    enqueued(limited(app, Concurrency(1)), 2)
    dead, other = StepWorker(database, app, "dead", MANY), StepWorker(database, app, "other", MANY)
    dead.beat()
    assert running(dead.fetch()) == [0]
    assert running(other.fetch()) == []

    # When another one takes its work over
    other.reclaimer.observe({"dead": dead.beater.last_beat_ms}, other.queue_order.all_places())
    other.reclaimer.observe({"dead": dead.beater.last_beat_ms}, other.queue_order.all_places())

    # Then both runs come to their turn, one at a time
    for _ in range(2):
        assert len(other.fetch()) == 1
        other.execute()
        other.commit()
    assert {number for _, number in app.done} == {0, 1}
    assert find_leaks(database) == {}


def test_a_slot_that_leaked_is_found_by_the_sweep(app, database):
    # Given a worker that died between the end of an attempt and giving its slot back
    handles = enqueued(limited(app, Concurrency(1)), 2)
    worker = StepWorker(database, app, settings=MANY)
    (attempt,) = worker.fetch()
    attempt.limit_uses = ()
    worker.execute()
    worker.commit()
    assert handles[0].state() is RunState.SUCCEEDED
    assert worker.fetch() == []

    # When the ticker sweeps
    Sweeper(database).sweep()

    # Then the next run starts
    assert running(worker.fetch()) == [1]
    worker.execute()
    worker.commit()
    assert find_leaks(database) == {}


def test_the_sweep_leaves_alone_what_is_held_by_the_living(app, database):
    enqueued(limited(app, Concurrency(1)), 2)
    worker = StepWorker(database, app, settings=MANY)
    worker.fetch()
    before = records(database)
    limits.sweep_limits(database)
    assert records(database) == before


@pytest.mark.parametrize("place", ["waiting", "let in"])
def test_a_run_that_is_cancelled_leaves_no_trace_among_those_that_wait(app, database, place):
    handles = enqueued(limited(app, Concurrency(1)), 3)
    worker = StepWorker(database, app, settings=MANY)
    worker.fetch()
    if place == "let in":
        worker.execute()
        worker.commit()
    assert cancel_run(database, handles[1].id, "not needed") == "CANCELED"
    assert handles[1].state() is RunState.CANCELED
    if place == "waiting":
        worker.execute()
        worker.commit()
    worker.work()
    assert [number for _, number in app.done] == [0, 2]
    assert find_leaks(database) == {}


def test_a_run_that_is_to_be_tried_again_gives_its_slot_to_others_meanwhile(app, database):
    @app.task(limits=[Concurrency(1)])
    def flaky(number: int) -> None:
        app.done.append(number)
        if number == 0:
            raise ValueError("not yet")

    for number in range(2):
        flaky.enqueue(number)
    worker = StepWorker(database, app, settings=MANY)
    worker.work()
    assert app.done == [0, 1]


def test_a_run_that_is_handed_back_gives_its_slot_back(app, database):
    from jobistemer.store.actions import hand_back

    enqueued(limited(app, Concurrency(1)), 2)
    alice, bob = (StepWorker(database, app, name, MANY) for name in ("alice", "bob"))
    (attempt,) = alice.fetch()
    hand_back.hand_back(database, [attempt.delivery], "alice")
    assert running(bob.fetch()) == [1]
    bob.execute()
    bob.commit()
    assert running(bob.fetch()) == [0]


def test_a_rate_lets_no_more_start_in_any_period_and_everything_comes_to_its_turn(app, database, clock):
    # Given three starts in ten seconds at the most, and ten calls
    enqueued(limited(app, Rate(3, per_s=10)), 10)
    worker, tick = StepWorker(database, app, settings=MANY), build_ticker(database)
    starts = []
    for _ in range(500):
        starts += [clock.now_ms()] * worker.work()
        clock.advance(0.25)
        tick.tick()

    # Then each fourth start is ten seconds after the first of its four
    assert len(starts) == 10
    assert all(later - earlier >= 10_000 for earlier, later in zip(starts, starts[3:], strict=False))
    # And no time is wasted: what is promised is kept within a tick
    assert starts[-1] - starts[0] <= 30_000 + 3 * 250
    # Those that were promised the same instant have no order among themselves.
    served = [number for _, number in app.done]
    assert [sorted(served[at : at + 3]) for at in range(0, 10, 3)] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]


def test_a_rate_that_is_due_and_a_limit_that_is_full_wait_together(app, database, clock):
    enqueued(limited(app, Rate(1, per_s=10), Concurrency(1)), 4)
    worker, tick = StepWorker(database, app, settings=MANY), build_ticker(database)
    starts = []
    for _ in range(400):
        attempts = worker.fetch()
        assert len(attempts) <= 1
        starts += [clock.now_ms() for _ in attempts]
        worker.execute()
        worker.commit()
        clock.advance(0.25)
        tick.tick()
    assert len(starts) == 4
    assert all(later - earlier >= 10_000 for earlier, later in itertools.pairwise(starts))
    clock.advance(3600)
    Sweeper(database).sweep()
    assert find_leaks(database) == {}


def test_a_run_without_limits_costs_no_call_beyond_fetching(app, database):
    @app.task
    def plain() -> None: ...

    plain.enqueue()
    worker = StepWorker(database, app, settings=MANY)
    asked = []
    original = database.call_all
    database.call_all = lambda calls: asked.append(calls) or original(calls)
    worker.fetch()
    assert asked == []


def app_with(app, server_url, clock, *limits):
    """What is deployed next: the same task with other limits."""
    newer = open_app(server_url, clock)
    newer.done = app.done
    limited(newer, *limits)
    return newer


def test_what_waits_follows_the_number_of_the_next_deploy(app, database, server_url, clock):
    # Given one that runs and four that wait, since one at a time was allowed
    enqueued(limited(app, Concurrency(1)), 5)
    old = StepWorker(database, app, settings=MANY)
    old.fetch()

    # When workers with room for three have taken over, and the first of their runs has ended
    new = StepWorker(database, app_with(app, server_url, clock, Concurrency(3)), settings=MANY)
    old.execute()
    old.commit()
    assert running(new.fetch()) == [1]
    new.execute()
    new.commit()

    # Then three run at a time
    assert running(new.fetch()) == [2, 3, 4]


def test_what_waits_for_a_limit_that_is_no_more_follows_one_after_the_other_at_once(app, database, server_url, clock):
    enqueued(limited(app, Concurrency(1)), 4)
    old = StepWorker(database, app, settings=MANY)
    old.fetch()
    old.execute()
    old.commit()
    new = StepWorker(database, app_with(app, server_url, clock), settings=MANY)
    for number in (1, 2, 3):
        assert running(new.fetch()) == [number]
        new.execute()
        new.commit()
    assert find_leaks(database) == {}


def test_a_lower_number_holds_for_what_waits_already(app, database, server_url, clock):
    # Given two that run and four that wait
    enqueued(limited(app, Concurrency(2)), 6)
    old = StepWorker(database, app, settings=MANY)
    old.fetch()

    # When a worker that allows one has looked at a newcomer, and both have ended
    new = StepWorker(database, app_with(app, server_url, clock, Concurrency(1)), settings=MANY)
    app.enqueue("send", {"number": 6})
    assert running(new.fetch()) == []
    old.execute()
    old.commit()

    # Then one is let in
    assert running(new.fetch()) == [2]
