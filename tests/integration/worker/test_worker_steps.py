"""What must not go wrong between fetch and commit, on a worker that takes its steps by hand."""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager

import msgspec
import pytest
import redis

from jobistemer import NO_RETRIES, Delays, Snooze
from jobistemer.app import Jobistemer
from jobistemer.core import ids
from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.core.jobs.limits import Concurrency
from jobistemer.core.settings import WorkerSettings
from jobistemer.core.states import RunState
from jobistemer.store.actions import cancel
from jobistemer.store.calls import limits
from jobistemer.worker.attempts.definition_cache import DefinitionCache
from jobistemer.worker.commit.committer import MAX_BATCH, Committer
from jobistemer.worker.commit.effects import CommitEffects
from jobistemer.worker.execute import server_wait
from jobistemer.worker.execute.execute import NOTHING_RETURNED, run_async
from tests.support.shard_state import find_leaks, records
from tests.support.step_system import StepWorker, break_next, build_ticker, open_app


@pytest.fixture
def app(server_url: str, clock, database) -> Jobistemer:
    app = open_app(server_url, clock)
    app.done = []

    @app.task
    def note(text: str) -> None:
        app.done.append(text)

    return app


def test_what_is_enqueued_is_executed_once_and_leaves_nothing_behind(app, database):
    run = app.enqueue("note", {"text": "hello"})

    StepWorker(database, app).work()

    assert app.done == ["hello"]
    assert run.state() is RunState.SUCCEEDED
    assert find_leaks(database) == {}


def test_what_one_send_cannot_take_is_committed_by_a_helper_that_sleeps_until_then(app, database):
    worker = StepWorker(database, app, settings=WorkerSettings(concurrency=MAX_BATCH + 1))
    helper = Committer(worker.prefetch, CommitEffects(DefinitionCache()), worker.committer.finished)
    runs = app.enqueue_many(app.request("note", {"text": str(number)}) for number in range(MAX_BATCH + 1))
    while worker.fetch_once():
        worker.execute()

    # Given more than one send takes; until it is full, nobody calls the helper
    assert not worker.committer.finished._overflow.is_set()
    worker.committer.step()
    helper.step()

    # Then both have recorded their part, the order is nobody's matter, and the helper sleeps again
    assert (worker.committer.counts["succeeded"], helper.counts["succeeded"]) == (MAX_BATCH, 1)
    assert {run.state() for run in runs} == {RunState.SUCCEEDED}
    assert not worker.committer.finished._overflow.is_set()
    assert worker.prefetch.in_flight == 0
    assert find_leaks(database) == {}


def test_entries_of_two_streams_with_the_same_id_are_two_attempts(app, database):
    # Given two entries that two streams got in the same millisecond
    worker = StepWorker(database, app, settings=WorkerSettings(queues={"a": 0, "b": 0}))
    for queue in ("a", "b"):
        app.enqueue("note", {"text": queue}, queue=queue)
    attempts = worker.fetch()
    for attempt in attempts:
        attempt.delivery = msgspec.structs.replace(attempt.delivery, entry=b"1-0")

    # When both run at the same time
    first, second = (worker.begin(attempt) for attempt in attempts)

    # Then each ends by itself
    assert worker.attempts.end(second, NOTHING_RETURNED)
    assert worker.attempts.end(first, NOTHING_RETURNED)


def test_the_very_next_beat_stops_a_run_that_was_cancelled_and_the_one_that_waits_is_not_begun(app, database):
    # Given one run that is going on in a worker, and one that it has fetched
    worker = StepWorker(database, app)
    running, waiting = (app.enqueue("note", {"text": text}) for text in ("running", "waiting"))
    worker.fetch()
    attempt = worker.begin(worker.waiting[0])

    # When both are cancelled, and the worker beats once, which it does more than once a second
    assert running.cancel("wrong address")
    assert waiting.cancel("wrong address")
    assert WorkerSettings().beat_s < 0.8
    worker.beat()

    # Then the one has ended, and the other one will
    assert (attempt.outcome.state, attempt.outcome.error) == ("canceled", "canceled: wrong address")
    worker.execute()
    worker.commit()
    assert [running.state(), waiting.state()] == ["canceled", "canceled"]
    assert [each.record().error for each in (running, waiting)] == ["canceled: wrong address"] * 2
    assert app.done == []


def test_a_batch_whose_answer_was_lost_is_taken_all_the_same(app, database):
    # Given a read that the server answered, and whose answer never arrived
    worker = StepWorker(database, app)
    app.enqueue("note", {"text": "lost on the wire"})
    reader, borrow = worker.fetcher._reader, worker.fetcher._reader._borrow_connection

    @contextmanager
    def lose(**options):
        reader._borrow_connection = borrow
        with borrow(**options) as borrowed:
            yield borrowed
            raise redis.ConnectionError("reset by peer")

    reader._borrow_connection = lose
    with pytest.raises(NotConnected):
        worker.fetch()
    assert worker.waiting == []

    # When the worker goes on
    worker.work()

    # Then the entry was not left pending for a worker that lives
    assert app.done == ["lost on the wire"]
    assert find_leaks(database) == {}


def test_what_a_worker_already_holds_is_not_taken_again_after_a_lost_answer(app, database):
    worker = StepWorker(database, app)
    app.enqueue("note", {"text": "once"})
    worker.fetch()

    worker.fetcher._must_reread = True
    worker.work()

    assert app.done == ["once"]


def test_strangers_hold_up_no_known_task_when_the_connection_breaks(app, database):
    # Given a batch with a task that this worker does not know before one that it knows
    worker = StepWorker(database, app)
    stranger = app.enqueue("unheard_of")
    app.enqueue("note", {"text": "known"})

    # When giving back the stranger fails
    with break_next(database, "call_all", lambda: NotConnected("away")), pytest.raises(NotConnected):
        worker.fetch()

    # Then the known one is executed, the stranger given back with the next step, and nothing is held for ever
    worker.work()
    assert app.done == ["known"]
    assert stranger.state() is RunState.SCHEDULED
    assert worker.prefetch.in_flight == 0


def test_outcomes_are_sent_again_when_the_connection_breaks_after_the_server_has_recorded_them(app, database):
    run = app.enqueue("note", {"text": "recorded"})
    worker = StepWorker(database, app)
    worker.fetch()
    worker.execute()

    with break_next(database, "call_all", lambda: NotConnected("away"), after=True), pytest.raises(NotConnected):
        worker.committer.step()
    worker.committer.step()

    assert run.state() is RunState.SUCCEEDED
    assert worker.committer.counts == {"succeeded": 1}
    assert worker.prefetch.in_flight == 0


def count_runs(worker):
    """How many ends the metrics of a worker have counted, by task and state."""
    runs = next(each for each in worker.attempt_metrics.measures() if each.name == "runs")
    return {(labels[0], labels[-1]): count for labels, count in runs.values}


def test_ends_are_counted_once_when_the_connection_breaks_before_their_permits_are_released(app, database, monkeypatch):
    @app.task(limits=[Concurrency(5)])
    def send() -> None: ...

    app.enqueue("note", {"text": "plain"})
    runs = [send.enqueue() for _ in range(2)]
    worker = StepWorker(database, app)
    worker.fetch()
    worker.execute()

    # When the server is away right after it has recorded them, and comes back
    with monkeypatch.context() as patched, pytest.raises(NotConnected):
        patched.setattr(limits, "release_limits", _raise_not_connected)
        worker.committer.step()
    assert [run.state() for run in runs] == [RunState.SUCCEEDED] * 2
    worker.committer.step()

    # Then each was counted once, the permits are free, and the worker has room again
    assert worker.committer.counts == {"succeeded": 3}
    assert count_runs(worker) == {("note", "succeeded"): 1, ("send", "succeeded"): 2}
    assert records(database).get("held:task/send") is None
    assert worker.prefetch.in_flight == 0


def test_permits_that_cannot_be_handed_on_hold_up_no_outcome(app, database, monkeypatch, caplog):
    @app.task(limits=[Concurrency(5)])
    def send() -> None: ...

    run = send.enqueue()
    worker = StepWorker(database, app)
    worker.fetch()
    worker.execute()
    monkeypatch.setattr(limits, "admit_waiting", _refuse)
    worker.committer.step()

    assert run.state() is RunState.SUCCEEDED
    assert "permits of ended runs (1) were not given back, or not handed on" in caplog.text
    assert worker.committer._postponed == {}
    assert worker.prefetch.in_flight == 0


def test_what_follows_from_an_end_and_is_refused_neither_counts_it_again_nor_holds_up_anything(
    app, database, monkeypatch
):
    # Given a job whose first failure cancels its other task, at a moment in which nothing can be cancelled
    def breaks() -> None:
        raise ValueError("no")

    pair = app.job("0 0 1 1 *", name="pair", failure="fail_fast", retry=NO_RETRIES)
    pair.task(breaks, name="first")
    pair.task(lambda: None, name="second")

    app.deploy()
    app.control.trigger("pair")
    app.enqueue("note", {"text": "plain"})
    worker = StepWorker(database, app)
    worker.fetch()
    worker.execute()

    with monkeypatch.context() as patched:
        patched.setattr(cancel, "cancel_siblings", _refuse)
        worker.committer.step()

    assert worker.committer._postponed == {}
    assert sum(worker.committer.counts.values()) == sum(count_runs(worker).values()) == 3
    assert worker.prefetch.in_flight == 0


def execute(worker):
    """Run what waits, coroutines on an event loop."""
    for attempt in [each for each in worker.waiting if each.handler.is_coroutine]:
        worker.waiting.remove(attempt)
        if asyncio.run(run_async(attempt, worker.attempts, lambda: None)):
            worker.committer.finished.put(attempt)
    worker.execute()


@pytest.mark.parametrize("is_coroutine", [False, True])
def test_a_handler_that_has_succeeded_has_done_so_although_the_server_is_away_when_its_steps_are_asked_for(
    app, database, clock, monkeypatch, is_coroutine
):
    # Given a run without retries that has put itself off before
    def enter() -> None:
        if not app.done:
            app.done.append("closed")
            raise Snooze("not open yet", after=1)
        app.done.append("open")

    async def enter_async() -> None:
        enter()

    run = app.task(enter_async if is_coroutine else enter, retry=NO_RETRIES).enqueue()
    worker = StepWorker(database, app)
    worker.fetch()
    execute(worker)
    worker.commit()
    clock.advance(60)
    build_ticker(database).tick()

    # When the connection breaks as its handler has returned
    monkeypatch.setattr(server_wait, "PAUSE_S", 0.0)
    worker.fetch()
    with break_next(database, "ask", lambda: NotConnected("away")) as broken:
        execute(worker)
    assert broken
    worker.commit()

    # Then its success is recorded, and it is not executed again
    assert run.state() is RunState.SUCCEEDED
    assert app.done == ["closed", "open"]


def _refuse(*_):
    raise ServerRefused("command not allowed")


def _raise_not_connected(*_):
    raise NotConnected("away")


def test_an_outcome_that_cannot_be_recorded_holds_up_none_of_those_that_go_with_it(app, database):
    # Given a run of which a stranger has broken a key, among others that end at the same time
    runs = [app.enqueue("note", {"text": str(number)}) for number in range(5)]
    worker = StepWorker(database, app)
    worker.fetch()
    worker.execute()
    key = database.keys.attempt(ids.attempt_id(runs[2].id, 0))
    database.client.set(key, "broken")

    # When they are committed, once and again
    worker.commit()
    worker.commit()

    # Then that key was put aside, and all have ended, also those behind it; nothing is left in the stream
    assert [run.state() for run in runs] == [RunState.SUCCEEDED] * 5
    assert database.client.hget(key, "state") == b"succeeded"
    assert database.client.xlen(database.keys.stream("default:5")) == 0
    assert worker.prefetch.in_flight == 0


def test_an_answer_that_no_one_expects_holds_up_none_of_those_that_go_with_it_or_come_later(app, database, monkeypatch):
    runs = [app.enqueue("note", {"text": str(number)}) for number in range(3)]
    worker = StepWorker(database, app)
    worker.fetch()
    worker.execute()
    broken, send = database.keys.run(runs[1].id), database.call_all

    def call_all(calls):
        if any(broken in call.keys for call in calls):
            raise AssertionError("commit_successes answered 'nonsense'")
        return send(calls)

    with monkeypatch.context() as patched:
        patched.setattr(database, "call_all", call_all)
        for _ in range(2 + len(runs)):
            worker.commit()
            worker.committer._retry_at = 0.0
        assert [run.state() for run in runs] == [RunState.SUCCEEDED, RunState.PENDING, RunState.SUCCEEDED]
    worker.commit()
    assert runs[1].state() is RunState.SUCCEEDED
    assert worker.prefetch.in_flight == 0


def test_a_cancelled_run_of_a_job_that_cannot_be_read_here_holds_up_no_other_outcome(app, database, caplog):
    # Given a run that was cancelled while it failed, of a job that a newer version of this package has defined anew
    @app.job("0 0 1 1 *", name="sync")
    def sync() -> None:
        raise OSError("away")

    app.deploy()
    app.control.trigger("sync")
    worker = StepWorker(database, app)
    (attempt,) = worker.fetch()
    worker.execute()
    database.client.hset(database.keys.run(attempt.delivery.message.run), "cancel", 1)
    definition = database.client.hget(database.keys.job(ids.job_id("sync")), "definition")
    database.client.hset(database.keys.job(ids.job_id("sync")), "definition", "{}")

    # When it is committed, and another one with it
    other = app.enqueue("note", {"text": "other"})
    worker.fetch()
    worker.execute()
    worker.commit()

    # Then the other has ended, and the first does when that can be read
    assert other.state() is RunState.SUCCEEDED
    assert "could not be recorded, trying again" in caplog.text
    database.client.hset(database.keys.job(ids.job_id("sync")), "definition", definition)
    worker.commit()
    assert worker.prefetch.in_flight == 0
    assert records(database)[f"run:{attempt.delivery.message.run}"]["state"] == "canceled"


def test_a_retry_is_a_warning_and_a_run_that_is_dead_an_error_with_its_trace_logged_once(app, database, clock, caplog):
    @app.task(retry=Delays((1.0,)))
    def divide() -> float:
        return 1 / 0

    worker = StepWorker(database, app)
    run = divide.enqueue()
    with caplog.at_level(logging.INFO, "jobistemer.worker"):
        worker.work()
        clock.advance(2)
        build_ticker(database).tick()
        worker.work()
    retried, dead = [each for each in caplog.records if run.id in each.getMessage()]
    assert (retried.levelname, dead.levelname, run.state()) == ("WARNING", "ERROR", "dead")
    assert "ZeroDivisionError: division by zero; it is tried again in 1.0 s" in retried.getMessage()
    assert retried.exc_text is None
    assert dead.exc_text.startswith("Traceback (most recent call last):\n")
    assert dead.exc_text.endswith("ZeroDivisionError: division by zero")
