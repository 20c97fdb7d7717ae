"""The life of enqueued calls: retries, dead letters, unknown tasks, unique keys, results, cancelling, zombies."""

from __future__ import annotations

import asyncio
import pickle

import pytest

from jobistemer.core.errors import NotConnected, ResultTimeout, RunFailed
from jobistemer.core.handlers.control_errors import Fail, Retry
from jobistemer.core.jobs.retries import NO_RETRIES, Delays
from jobistemer.store.actions import cancel
from jobistemer.store.scripts import Reply
from tests.support.shard_state import find_leaks, nothing_written, records
from tests.support.step_system import StepWorker, build_ticker, read_attempts


@pytest.fixture
def app(app):
    app.done = []

    @app.task
    def note(text: str) -> str:
        app.done.append(text)
        return text.upper()

    @app.task(retry=Delays((1, 5)))
    def fragile(error: str) -> None:
        app.done.append("try")
        raise {"Fail": Fail("no use"), "Retry": Retry(after=30)}.get(error, ValueError(error))

    return app


def test_a_failed_attempt_is_tried_again_after_its_delay_and_ends_in_the_dead_letters(app, database, clock):
    # Given a task that always fails and may be tried again after one and after five seconds
    run = app.enqueue("fragile", {"error": "broken"})
    worker, ticking = StepWorker(database, app), build_ticker(database)
    worker.work()
    assert (run.state(), run.record().due_at) == ("scheduled", clock.now_ms() + 1000)

    # When its delays pass
    for seconds in (1, 5):
        ticking.tick()
        assert worker.work() == 0
        clock.advance(seconds)
        ticking.tick()
        assert worker.work() == 1

    # Then it is dead, with every attempt on record
    assert (run.state(), len(app.done)) == ("dead", 3)
    assert [(each.number, each.state.value) for each in read_attempts(database, run.id)] == [
        (0, "failed"),
        (1, "failed"),
        (2, "failed"),
    ]
    assert "ValueError: broken" in run.record().error
    assert run.id in records(database)["dead"]
    assert find_leaks(database) == {}


def test_a_handler_may_say_when_it_wants_to_be_tried_again(app, database, clock):
    run = app.enqueue("fragile", {"error": "Retry"})
    StepWorker(database, app).work()

    assert run.record().due_at == clock.now_ms() + 30_000


def test_a_handler_may_say_that_another_try_is_no_use(app, database):
    run = app.enqueue("fragile", {"error": "Fail"})
    StepWorker(database, app).work()

    assert (run.state(), run.record().error) == ("failed", "no use")
    with pytest.raises(RunFailed, match="ended failed: no use") as failed:
        run.result()
    found = pickle.loads(pickle.dumps(failed.value))
    assert (found.run, found.state, found.attempts, found.error) == (run.id, "failed", 1, "no use")


def test_a_payload_that_does_not_fit_goes_to_the_dead_letters_without_a_retry(app, database):
    # Given a producer that does not know the task's types
    app.handlers["note"], known = _renamed(app.handlers["note"]), app.handlers["note"]
    del app.handlers["note"]
    run = app.enqueue("note", {"text": 5})
    app.handlers["note"] = known

    StepWorker(database, app).work()

    assert run.state() == "dead"
    assert "Expected `str`, got `int` - at `$.text`" in run.record().error


def _renamed(handler):
    return handler


def test_a_task_that_a_worker_does_not_know_waits_for_one_that_does(app, database, server_url, clock):
    # Given a worker of the old release, and a task of the new one
    from tests.support.step_system import open_app

    old = StepWorker(database, open_app(server_url, clock), "old")
    run = app.enqueue("note", {"text": "new"})

    # When the old worker gets it
    old.fetch()

    # Then it waits and says why, and a worker that knows it takes it later, at its first attempt
    assert run.state() == "scheduled"
    assert run.record().note == "no worker that was asked knows task note"
    clock.advance(5)
    build_ticker(database).tick()
    StepWorker(database, app, "new").work()
    assert [each.number for each in read_attempts(database, run.id)] == [0]
    assert run.result() == "NEW"


def test_a_unique_key_gives_back_the_run_that_holds_it_until_that_has_ended(app, database):
    first = app.enqueue("note", {"text": "once"}, unique="customer 5")
    second = app.enqueue("note", {"text": "twice"}, unique="customer 5")
    assert (second.id, second.existing, first.existing) == (first.id, True, False)

    StepWorker(database, app).work()
    third = app.enqueue("note", {"text": "later"}, unique="customer 5")
    assert third.id != first.id
    StepWorker(database, app).work()

    assert app.done == ["once", "later"]
    assert find_leaks(database) == {}


@pytest.mark.parametrize("delay", [None, 5.0])
def test_a_call_that_is_sent_twice_is_enqueued_once(app, database, delay):
    _, call = app.producer.prepare(app.request("note", {"text": "resent"}, delay=delay))
    assert database.call(call) == Reply("CREATED", [])
    with nothing_written(database):
        assert database.call(call) == Reply("MINE", [])


def test_results_are_typed_and_awaited_in_both_colours(app, database):
    first = app.handlers["note"]
    run = app.enqueue("note", {"text": "x"})
    StepWorker(database, app).work()

    assert run.result(timeout=0) == "X"
    assert first.decode_result(b'"X"') == "X"

    async def story():
        run = await app.enqueue_async("note", {"text": "y"})
        with pytest.raises(ResultTimeout, match="has not ended within 0 s"):
            await run.result_async(timeout=0)
        StepWorker(database, app, "bob").work()
        return await run.result_async(timeout=60)

    assert asyncio.run(story()) == "Y"


def test_a_result_that_has_not_come_in_time_is_an_error_that_says_so(app):
    run = app.enqueue("note", {"text": "x"})
    with pytest.raises(ResultTimeout, match=run.id):
        run.result(timeout=0)


class TestCancelling:
    def test_a_queued_run_is_cancelled_at_once(self, app, database):
        run = app.enqueue("note", {"text": "x"})
        assert cancel.cancel_run(database, run.id, "changed my mind") == "CANCELED"
        assert (run.state(), run.record().error) == ("canceled", "canceled: changed my mind")
        assert StepWorker(database, app).work() == 0
        assert find_leaks(database) == {}

    def test_a_delayed_run_is_cancelled_at_once(self, app, database, clock):
        run = app.enqueue("note", {"text": "x"}, delay=5)
        assert cancel.cancel_run(database, run.id, "no") == "CANCELED"
        clock.advance(5)
        build_ticker(database).tick()
        assert StepWorker(database, app).work() == 0
        assert find_leaks(database) == {}

    def test_a_running_run_is_cancelled_with_the_next_beat_of_its_worker(self, app, database):
        run = app.enqueue("note", {"text": "x"})
        worker = StepWorker(database, app)
        worker.begin(*worker.fetch())
        assert cancel.cancel_run(database, run.id, "no") == "REQUESTED"

        worker.beat()
        worker.commit()

        assert run.state() == "canceled"
        assert [each.state.value for each in read_attempts(database, run.id)] == ["canceled"]
        assert find_leaks(database) == {}

    def test_a_run_that_waits_for_a_slot_is_not_begun(self, app, database):
        run = app.enqueue("note", {"text": "x"})
        worker = StepWorker(database, app)
        worker.fetch()
        cancel.cancel_run(database, run.id, "no")

        worker.beat()
        worker.execute()
        worker.commit()

        assert (run.state(), app.done) == ("canceled", [])

    def test_a_request_is_heard_although_the_beat_before_it_broke_off(self, app, database, clock):
        run = app.enqueue("note", {"text": "x"})
        worker = StepWorker(database, app)
        worker.beat()
        worker.begin(*worker.fetch())
        cancel.cancel_run(database, run.id, "no")
        clock.advance(10)
        from tests.support.step_system import break_next

        with break_next(database, "call", lambda: NotConnected("away")), pytest.raises(NotConnected):
            worker.beat()

        clock.advance(1)
        worker.beat()
        worker.commit()

        assert run.state() == "canceled"

    def test_a_run_that_is_handed_back_after_the_request_is_cancelled(self, app, database):
        from jobistemer.store.actions import hand_back

        run = app.enqueue("note", {"text": "x"})
        worker = StepWorker(database, app)
        (attempt,) = worker.fetch()
        cancel.cancel_run(database, run.id, "no")

        hand_back.hand_back(database, [attempt.delivery], "alice")

        assert run.state() == "canceled"
        assert find_leaks(database) == {}

    def test_a_run_that_fails_after_the_request_is_not_tried_again(self, app, database):
        run = app.enqueue("fragile", {"error": "broken"})
        worker = StepWorker(database, app)
        worker.fetch()
        cancel.cancel_run(database, run.id, "no")

        worker.execute()
        worker.commit()

        assert run.state() == "canceled"
        assert find_leaks(database) == {}

    def test_what_has_ended_stays_as_it_is(self, app, database):
        run = app.enqueue("note", {"text": "x"})
        StepWorker(database, app).work()
        with nothing_written(database):
            assert cancel.cancel_run(database, run.id, "too late") == "ENDED"
            assert cancel.cancel_run(database, "run_00000000", "who?") == "UNKNOWN"


def test_no_retries_means_one_attempt(app, database):
    run = app.enqueue("fragile", {"error": "x"}, retry=NO_RETRIES)
    StepWorker(database, app).work()
    assert (run.state(), app.done) == ("dead", ["try"])


def test_a_crowd_of_calls_is_worked_off_once_each(app, database):
    runs = app.enqueue_many(app.request("note", {"text": str(number)}) for number in range(250))
    StepWorker(database, app).work()
    assert sorted(app.done, key=int) == [str(number) for number in range(250)]
    assert {run.state() for run in runs} == {"succeeded"}
    assert find_leaks(database) == {}
