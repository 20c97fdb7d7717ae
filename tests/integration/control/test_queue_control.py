"""Queues and holds as an operator meets them, and the options of a call, on workers that take their steps by hand."""

import pytest

from jobistemer import Concurrency, Context, Debounce, Jobistemer, Throttle, Unique
from jobistemer.control.queues import QueueControl
from jobistemer.core.errors import InvalidInput, InvalidName, NotFound, QueueClosed
from jobistemer.core.settings import WorkerSettings
from jobistemer.core.states import RunState
from tests.support.shard_state import find_leaks
from tests.support.step_system import StepWorker, build_ticker, open_app

MANY = WorkerSettings(concurrency=50)


@pytest.fixture
def app(server_url: str, clock, database) -> Jobistemer:
    app = open_app(server_url, clock)
    for control in (app.queues, app.holds):
        control._namespace = app.namespace
    app.done = []

    @app.task
    def note(text: str) -> None:
        app.done.append(text)

    @app.task
    def flaky() -> None:
        app.done.append("tried")
        if len(app.done) == 1:
            raise ValueError("not yet")

    @app.task(limits=[Concurrency(9, key="{customer}")])
    def serve(customer: int) -> None:
        app.done.append(customer)

    @app.task(limits=[Concurrency(1)])
    def single(text: str) -> None:
        app.done.append(text)

    return app


@pytest.fixture
def worker(app, database):
    return StepWorker(database, app, settings=MANY)


def note(app, text, **call):
    return app.enqueue("note", {"text": text}, **call)


def test_a_queue_that_is_drained_refuses_new_runs_and_works_off_what_is_there(app, worker):
    before = note(app, "before")
    app.queues.drain("default")
    for call in ({}, {"delay": 5}, {"debounce": 5}, {"unique": "k"}):
        with pytest.raises(QueueClosed) as refused:
            note(app, "after", **call)
    with pytest.raises(QueueClosed):
        app.enqueue_many([app.request("note", {"text": "after"})])
    assert str(refused.value) == (
        "queue 'default' is being drained and takes no new runs: 'note' was not enqueued; "
        "use another queue, or open it again with `jobistemer queue open default`"
    )
    assert [each.draining for each in app.queues.list()] == [True]
    worker.work()
    assert before.state() is RunState.SUCCEEDED
    app.queues.open("default")
    note(app, "again")
    worker.work()
    assert app.done == ["before", "again"]


def test_a_purge_ends_everything_that_waits_with_its_reason_and_nothing_that_runs(app, database, worker):
    # Given runs in flight, on their streams, delayed, waiting for a limit, let in by one, and in another queue
    running = app.enqueue("single", {"text": "a"})
    (attempt,) = worker.fetch()
    waiting = [app.enqueue("single", {"text": text}) for text in "bc"]
    assert worker.fetch() == [attempt]
    queued = [note(app, str(number), priority=number % 10) for number in range(250)]
    delayed = note(app, "later", delay=60)
    other = note(app, "other", queue="mail")

    # When the queue is purged
    assert QueueControl(app.namespace, "ann").purge("default", "bad deploy") == 253

    # Then each has its record and its reason, and the others go on
    for handle in (*waiting, *queued, delayed):
        record = handle.record()
        assert (record.state, record.error) == (RunState.CANCELED, "purged: bad deploy (by ann)")
    worker.execute()
    worker.commit()
    assert running.state() is RunState.SUCCEEDED
    assert other.state() is RunState.PENDING
    assert app.queues.purge("default") == 0
    assert app.queues.purge("mail") == 1
    assert find_leaks(database) == {}


def test_a_run_that_was_let_in_and_is_purged_gives_its_slot_back(app, database, worker):
    for text in "ab":
        app.enqueue("single", {"text": text})
    worker.fetch()
    worker.execute()
    worker.commit()
    assert app.queues.purge("default") == 1
    app.enqueue("single", {"text": "c"})
    worker.work()
    assert app.done == ["a", "c"]
    assert find_leaks(database) == {}


def test_a_listing_says_who_waits_for_which_limit(app, worker):
    for text in "abc":
        app.enqueue("single", {"text": text})
    worker.fetch()
    (queue,) = app.queues.list()
    assert (queue.waiting, queue.in_flight, queue.limited) == (0, 1, {"task/single": 2})


def test_a_customer_on_hold_waits_and_the_others_flow(app, worker, clock):
    app.holds.put("serve", key=7, seconds=600)
    worker.beat()
    for customer in (7, 8, 7, 9):
        app.enqueue("serve", {"customer": customer})
    worker.work()
    assert app.done == [8, 9]
    assert [(each.name, each.parked) for each in app.holds.list()] == [("task/serve:7", 2)]

    clock.advance(600)
    build_ticker(worker.database).tick()
    worker.work()
    assert app.done == [8, 9, 7, 7]
    assert app.holds.list() == []


def test_a_hold_that_is_released_lets_what_it_put_off_come_back_at_once_also_before_workers_hear_of_it(app, worker):
    app.holds.put("note", seconds=600)
    worker.beat()
    held = note(app, "held")
    worker.work()
    assert (held.record().state, held.record().note) == (RunState.SCHEDULED, "on hold: task/note")

    app.holds.release("note")
    build_ticker(worker.database).tick()
    worker.work()
    assert app.done == ["held"]


def test_a_hold_that_is_put_again_counts_from_then(app, worker, clock):
    app.holds.put("note", seconds=600)
    worker.beat()
    note(app, "held")
    worker.work()
    app.holds.put("note", seconds=60)
    build_ticker(worker.database).tick()
    worker.work()
    assert app.done == []
    clock.advance(60)
    build_ticker(worker.database).tick()
    worker.work()
    assert app.done == ["held"]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        ({"seconds": 5}, InvalidInput, "say what to hold"),
        ({"task": "note", "limit": "x", "seconds": 5}, InvalidInput, "say what to hold"),
        ({"task": "note"}, InvalidInput, "give either seconds or until"),
        ({"task": "note", "seconds": 0}, InvalidInput, "seconds is 0, allowed are"),
        ({"task": "a b", "seconds": 5}, InvalidName, "task name 'a b'"),
    ],
)
def test_a_hold_that_cannot_be_is_refused_with_the_reason(app, call, error, words):
    with pytest.raises(error) as refused:
        app.holds.put(**call)
    assert words in str(refused.value)


def test_a_hold_that_is_not_there_cannot_be_released(app):
    with pytest.raises(NotFound) as refused:
        app.holds.release("note")
    assert "'task/note' is not on hold" in str(refused.value)


def test_a_call_that_has_expired_is_not_executed_and_says_so(app, database, worker, clock):
    late, good = note(app, "late", expires=5), note(app, "good", expires=60)
    clock.advance(10)
    worker.work()
    assert app.done == ["good"]
    assert (late.state(), good.state()) == (RunState.CANCELED, RunState.SUCCEEDED)
    assert late.record().error == "expired: it was to start 5.0 s earlier at the latest"
    assert find_leaks(database) == {}


def test_a_retry_of_what_was_started_in_time_does_not_expire(app, worker, clock):
    run = app.enqueue("flaky", expires=5)
    worker.work()
    assert run.state() is RunState.SCHEDULED
    clock.advance(60)
    build_ticker(worker.database).tick()
    worker.work()
    assert (run.state(), app.done) == (RunState.SUCCEEDED, ["tried", "tried"])


def test_a_key_that_is_unique_until_the_start_is_free_while_its_run_goes_on(app, worker):
    key = Unique("k", until="started")
    first = note(app, "one", unique=key)
    assert note(app, "two", unique=key).id == first.id
    worker.fetch()
    assert not note(app, "three", unique=key).existing


def test_a_throttled_call_runs_at_most_once_in_its_window(app, database, worker):
    first = note(app, "one", throttle=60)
    worker.work()
    again = note(app, "two", throttle=Throttle(60))
    assert (again.existing, again.id) == (True, first.id)
    assert not note(app, "other", throttle=Throttle(60, key="b")).existing
    worker.work()
    assert app.done == ["one", "other"]
    assert find_leaks(database) == {}


def test_a_debounced_call_runs_once_with_what_was_said_last(app, database, worker, clock):
    quiet = Debounce(10, longest=25)
    handles = []
    for text in "abc":
        handles.append(note(app, text, debounce=quiet))
        clock.advance(9)
        build_ticker(database).tick()
        worker.work()
    # The third call came 18 s after the first, so the run starts 25 s after that and not 28.
    assert app.done == ["c"]
    assert {handle.id for handle in handles} == {handles[0].id}
    assert [handle.existing for handle in handles] == [False, True, True]
    assert handles[2].state() is RunState.SUCCEEDED


def test_a_handler_finds_metadata_and_headers_of_its_call_in_its_context(app, database):
    @app.task
    def look(context: Context) -> None:
        app.done.append((context.metadata, context.headers))

    look.options(metadata={"order": "7"}, headers={"trace": "4bf9"}).enqueue()
    StepWorker(database, app).work()
    assert app.done == [({"order": "7"}, {"trace": "4bf9"})]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"unique": "k", "throttle": 5}, "unique and throttle are given together"),
        ({"debounce": 5, "delay": 5}, "leave out delay and at"),
        ({"debounce": Debounce, "delay": None}, "debounce wait is"),
        ({"delay": 10, "expires": 5}, "it would never start"),
        ({"expires": 0}, "expires is 0, allowed are 0.001 and more seconds"),
        ({"throttle": -1}, "throttle window is -1, allowed are"),
        ({"metadata": {"n": 5}}, "metadata has 'n': 5, allowed are texts"),
        ({"headers": {"trace": "x" * 5000}}, "headers has 5005 bytes, allowed are 4096"),
        ({"unique": "x" * 5000}, "allowed are texts of at most 4096 bytes"),
    ],
)
def test_options_of_a_call_that_cannot_be_are_refused_with_the_reason(app, call, words):
    with pytest.raises(InvalidInput) as refused:
        note(app, "x", **call)
    assert words in str(refused.value)


@pytest.mark.parametrize("reason", [10**5000, None, b"why"], ids=["a long number", "nothing", "bytes"])
def test_a_reason_that_is_no_text_is_refused(app, reason):
    run = app.enqueue("greet", {}, delay=60)
    for cancel in (run.cancel, lambda why: app.queues.purge("default", why)):
        with pytest.raises(InvalidInput, match="reason is .*, allowed is a text"):
            cancel(reason)
    assert run.state() is RunState.SCHEDULED
