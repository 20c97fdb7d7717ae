"""A whole worker with its threads: slots survive their handlers, and an end is in order."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from jobistemer.app import Jobistemer
from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.core.settings import WorkerSettings
from jobistemer.runtime.repeat import start_thread
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.store.actions import cancel
from jobistemer.store.calls import streams
from jobistemer.store.reads import queues as census
from jobistemer.worker import Worker
from tests.support.servers import VALKEY, running
from tests.support.shard_state import find_leaks
from tests.support.step_system import read_attempts

QUICK = WorkerSettings(concurrency=2, beat_s=0.05, grace_s=5)
PATIENCE_S = 60.0
"""Longer than a busy machine needs, so that what is waited for decides a test, never the clock."""


@contextmanager
def at_work(app: Jobistemer, settings: WorkerSettings = QUICK) -> Iterator[Shutdown]:
    """A worker while the context lasts; it has ended in order afterwards."""
    shutdown = Shutdown()
    worker = Worker(app.namespace, app.handlers, settings)
    thread = start_thread(lambda: worker.run(shutdown), "worker")
    try:
        yield shutdown
    finally:
        # A second request would mean an immediate end.
        if not shutdown.requested.is_set():
            shutdown.request()
        thread.join(PATIENCE_S)
    assert not thread.is_alive(), "the worker hangs at its end"


@pytest.fixture
def app(server_url, database) -> Jobistemer:
    """An app on the empty shard and on the server's time."""
    app = Jobistemer(server_url, namespace="test")
    app.gate = threading.Event()
    app.begun = threading.Semaphore(0)

    @app.task
    def quick(number: int = 0) -> int:
        return number

    @app.task
    async def quick_async(number: int = 0) -> int:
        return number

    @app.task(timeout_s=0.1)
    def deaf() -> None:
        app.begun.release()
        app.gate.wait(PATIENCE_S)

    @app.task(timeout_s=0.1)
    def swallowing() -> None:
        while not app.gate.is_set():
            try:
                while not app.gate.wait(0.01):
                    pass
            except BaseException:
                continue

    @app.task(timeout_s=0.1)
    async def swallowing_async() -> None:
        while not app.gate.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue

    @app.task(timeout_s=0.1, retry=NO_RETRIES)
    async def blocking_async() -> None:
        app.gate.wait(PATIENCE_S)

    @app.task
    def held() -> str:
        app.begun.release()
        app.gate.wait(PATIENCE_S)
        return "done"

    @app.task
    async def cancels_its_own_task() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    @app.task
    def exits() -> None:
        sys.exit(3)

    @app.task
    async def exits_async() -> None:
        raise KeyboardInterrupt

    yield app
    app.gate.set()


def test_plain_functions_and_coroutines_are_executed(app, database):
    with at_work(app):
        runs = [app.enqueue(name, {"number": n}) for n in range(20) for name in ("quick", "quick_async")]
        assert [run.result(PATIENCE_S) for run in runs] == [n for n in range(20) for _ in range(2)]
    assert census.list_workers([database]) == []
    assert find_leaks(database) == {}


@pytest.mark.parametrize("task", ["deaf", "swallowing", "swallowing_async"])
def test_a_handler_that_does_not_yield_is_recorded_as_timed_out_and_its_slot_goes_on(app, database, task):
    # Given more attempts that never end than there are slots
    with at_work(app):
        endless = [app.enqueue(task, retry=NO_RETRIES) for _ in range(4)]
        follows = "quick_async" if task.endswith("async") else "quick"

        # Then each is recorded, and others go on although the code has not ended
        after = [app.enqueue(follows, {"number": n}) for n in range(4)]
        assert [run.result(PATIENCE_S) for run in after] == [0, 1, 2, 3]
        # One slot may have worked off what follows while the other one has yet to meet its last one.
        _until(lambda: [run.state() for run in endless] == ["timed_out"] * 4)
        attempts = [read_attempts(database, run.id) for run in endless]
        assert [(each.state.value, each.error) for (each,) in attempts] == [("timed_out", "timed out after 0.1 s")] * 4
        app.gate.set()
    assert find_leaks(database) == {}


@pytest.mark.parametrize("task", ["exits", "exits_async", "cancels_its_own_task"])
def test_no_handler_takes_a_slot_with_it(app, task):
    follows = "quick_async" if "async" in task or "cancels" in task else "quick"
    with at_work(app):
        for _ in range(5):
            app.enqueue(task, retry=NO_RETRIES)
        assert [app.enqueue(follows, {"number": n}).result(PATIENCE_S) for n in range(3)] == [0, 1, 2]


def test_a_coroutine_that_blocks_its_loop_does_not_block_the_worker(app):
    with at_work(app, msgspec.structs.replace(QUICK, loop_block_s=0.5)):
        blocking = app.enqueue("blocking_async")
        after = [app.enqueue(name, {"number": n}) for n in range(20) for name in ("quick", "quick_async")]
        assert [run.result(PATIENCE_S) for run in after] == [n for n in range(20) for _ in range(2)]
        _until(lambda: blocking.state() == "timed_out")
        app.gate.set()


def test_a_running_thread_is_cancelled_with_the_next_beat(app, database):
    with at_work(app):
        run = app.enqueue("held")
        assert app.begun.acquire(timeout=PATIENCE_S)
        assert cancel.cancel_run(database, run.id, "no") == "REQUESTED"
        with pytest.raises(Exception, match="ended canceled: canceled: no"):
            run.result(PATIENCE_S)
        app.gate.set()
    assert find_leaks(database) == {}


def test_a_run_that_waits_for_a_slot_is_cancelled_with_the_next_beat_and_the_others_are_not(app, database):
    stream = database.keys.stream("default:5")
    with at_work(app):
        # Given a worker that has learned that runs are short, whose slots are taken, with more fetched ahead
        for _ in range(10):
            assert app.enqueue("quick").result(PATIENCE_S) == 0
        runs = app.enqueue_many(app.request("held") for _ in range(5))
        taken = _until(lambda: [each[0] for each in database.ask("XPENDING", stream, "workers", "-", "+", 10)][2:])
        waiting = next(run for run in runs if run.record().entry == taken[0].decode())
        others = [run for run in runs if run is not waiting]

        # When one of those is cancelled
        assert cancel.cancel_run(database, waiting.id, "no") == "REQUESTED"

        # Then it ends although no slot has become free, and the others go on
        _until(lambda: waiting.state() == "canceled")
        assert {run.state().value for run in others} <= {"pending", "running"}
        app.gate.set()
        assert [run.result(PATIENCE_S) for run in others] == ["done"] * 4
    assert find_leaks(database) == {}


def test_an_idle_worker_does_not_wait_for_its_read_to_end(tmp_path, monkeypatch, caplog):
    # Given a read that would wait for ever, or until the connection gives it up
    monkeypatch.setattr(streams, "BLOCK_MS", 0)
    with running(VALKEY, tmp_path) as url:
        app = Jobistemer(url)
        app.task(lambda: "done", name="quick")
        with at_work(app):
            assert app.enqueue("quick").result(PATIENCE_S) == "done"
        # Then the worker has ended in order without anything having been given up
        assert census.list_workers(app.namespace.shards) == []
        assert [record.getMessage() for record in caplog.records if record.levelname != "INFO"] == []


def test_an_end_in_order_lets_finish_what_runs_and_hands_back_what_had_not_started(app, database):
    # Given a worker whose two slots are taken, with more fetched ahead
    runs = [app.enqueue("held") for _ in range(6)]
    with at_work(app) as shutdown:
        assert app.begun.acquire(timeout=PATIENCE_S)
        assert app.begun.acquire(timeout=PATIENCE_S)

        # When it is asked to end, and what runs ends only after the rest was handed back
        shutdown.request()
        stream = database.keys.stream("default:5")
        _until(lambda: database.client.xpending(stream, "workers")[0] == 2)
        app.gate.set()

    # Then two are done, the others wait for anybody at their first attempt, and nobody is left
    states = sorted(run.state().value for run in runs)
    assert states == ["pending"] * 4 + ["succeeded"] * 2
    assert database.client.xlen(stream) == 4
    assert census.list_workers([database]) == []


def test_what_a_worker_cannot_finish_goes_back_without_a_crash_and_others_do_it(app, database):
    run = app.enqueue("held")
    with at_work(app, WorkerSettings(concurrency=1, beat_s=0.05, grace_s=0)):
        assert app.begun.acquire(timeout=PATIENCE_S)
    # Nothing waits for a lease: nobody is left, and the run is there for anybody.
    assert census.list_workers([database]) == []
    record = run.record()
    assert (record.state, record.attempt, record.crashes, record.interruptions) == ("pending", 0, 0, 1)
    app.gate.set()
    with at_work(app):
        run.result(PATIENCE_S)
    assert [attempt.state for attempt in read_attempts(database, run.id)] == ["succeeded"]


def test_burst_ends_when_the_queues_are_empty(app, database):
    runs = app.enqueue_many(app.request("quick", {"number": n}) for n in range(50))
    shutdown = Shutdown()
    Worker(app.namespace, app.handlers, WorkerSettings(concurrency=2, burst=True)).run(shutdown)
    assert [run.state() for run in runs] == ["succeeded"] * 50
    assert find_leaks(database) == {}


def test_all_queues_and_priorities_are_worked_off(app, database):
    settings = WorkerSettings(concurrency=2, beat_s=0.05, queues={"a": 0, "b": 0})
    with at_work(app, settings):
        runs = [
            app.enqueue("quick", {"number": n}, queue=queue, priority=n % 10) for n in range(60) for queue in ("a", "b")
        ]
        assert [run.result(PATIENCE_S) for run in runs] == [n for n in range(60) for _ in range(2)]
    assert find_leaks(database) == {}


def _until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come about"
        threading.Event().wait(0.01)
    return found
