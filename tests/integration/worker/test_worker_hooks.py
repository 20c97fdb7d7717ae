"""What an application has a worker do at its start and its end, on a real worker."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from jobistemer import StartFailed
from jobistemer.core.settings import WorkerSettings
from jobistemer.runtime.repeat import start_thread
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.worker import Worker
from jobistemer.worker.slots import process_hooks
from tests.support.apps import drain_queues, empty_app


@pytest.fixture
def app(server_url):
    app = empty_app(server_url)
    app.seen = []
    return app


def note(app, name, *, later=False):
    async def noting_later() -> None:
        await asyncio.sleep(0)
        app.seen.append(f"{name} on {'the loop' if loop_of(app) else 'another loop'}")

    def noting() -> None:
        app.seen.append(name)

    return noting_later if later else noting


def loop_of(app):
    running = asyncio.get_running_loop()
    app.state.loop = vars(app.state).get("loop", running)
    return app.state.loop is running


def test_functions_are_called_in_order_before_the_first_run_and_in_reverse_order_after_the_last(app):
    for name in ("one", "two"):
        app.on_worker_start(note(app, f"{name} starts"))
        app.on_worker_stop(note(app, f"{name} stops"))

    @app.task
    def work() -> None:
        app.seen.append("works")

    work.enqueue()
    drain_queues(app)
    assert app.seen == ["one starts", "two starts", "works", "two stops", "one stops"]


@pytest.mark.parametrize("colour", ["thread", "coroutine"])
def test_coroutine_functions_share_the_loop_of_the_coroutines_that_the_worker_runs(app, colour):
    app.on_worker_start(note(app, "starts", later=True))
    app.on_worker_stop(note(app, "stops", later=True))

    @app.task(name="work")
    async def work_later() -> None:
        app.seen.append(f"works on {'the loop' if loop_of(app) else 'another loop'}")

    if colour == "thread":
        del app.handlers["work"]

        @app.task(name="work")
        def work() -> None:
            app.seen.append("works on a thread")

    app.enqueue("work")
    drain_queues(app)
    works = "works on the loop" if colour == "coroutine" else "works on a thread"
    assert app.seen == ["starts on the loop", works, "stops on the loop"]


def test_a_start_function_that_fails_ends_the_worker_before_it_takes_anything(app):
    @app.on_worker_start
    def connect() -> None:
        raise ConnectionError("no database")

    app.on_worker_stop(note(app, "stops"))

    @app.task
    def work() -> None:
        app.seen.append("works")

    run = work.enqueue()
    with pytest.raises(StartFailed, match=r"on_worker_start: .*connect raised ConnectionError: no database"):
        drain_queues(app)
    assert (app.seen, run.state()) == ([], "pending")


def test_a_worker_ends_while_a_start_function_hangs(app):
    entered, release = threading.Event(), threading.Event()

    @app.on_worker_start
    def hang() -> None:
        entered.set()
        release.wait()

    @app.task
    def work() -> None: ...

    shutdown = Shutdown()
    worker = Worker(app.namespace, app.handlers, WorkerSettings(), app.plugins)
    thread = start_thread(lambda: worker.run(shutdown), "worker of the test")
    assert entered.wait(60)
    assert worker.ready() == ["it has not started: it connects to its server, or calls its on_worker_start functions"]
    shutdown.request()
    thread.join(60)
    assert not thread.is_alive()
    release.set()


def test_stop_functions_that_fail_or_hang_keep_nothing_from_ending(app, monkeypatch, caplog):
    monkeypatch.setattr(process_hooks, "STOP_S", 0.2)
    release = threading.Event()

    @app.on_worker_stop
    def hang() -> None:
        release.wait()

    @app.on_worker_stop
    def fail() -> None:
        raise SystemExit(3)

    @app.task
    def work() -> None: ...

    run = work.enqueue()
    drain_queues(app)
    release.set()
    assert run.state() == "succeeded"
    assert "on_worker_stop: " in caplog.text
    assert "the functions of on_worker_stop have not ended within 0.2 s" in caplog.text


def test_a_loop_that_replaces_a_blocked_one_gets_resources_of_its_own(app):
    release = threading.Event()

    @app.on_worker_start
    async def connect() -> None:
        app.state.loop = asyncio.get_running_loop()

    app.on_worker_start(note(app, "plain functions are called once"))

    @app.task(timeout=60)
    async def block() -> None:
        entered.set()
        release.wait()

    @app.task
    async def work() -> bool:
        return asyncio.get_running_loop() is app.state.loop

    entered = threading.Event()
    shutdown = Shutdown()
    settings = WorkerSettings(loop_block_s=0.5, concurrency=4, beat_s=0.1)
    worker = Worker(app.namespace, app.handlers, settings, app.plugins)
    thread = start_thread(lambda: worker.run(shutdown), "worker of the test")
    blocking = block.enqueue()
    assert entered.wait(60)
    assert work.enqueue().result(timeout=60)
    release.set()
    assert blocking.result(timeout=60) is None
    shutdown.request()
    thread.join(60)
    assert app.seen == ["plain functions are called once"]


def test_a_run_that_is_interrupted_is_not_failed_by_resources_that_are_closed_under_it(app):
    entered = threading.Event()
    app.state.open = True

    @app.on_worker_stop
    def close() -> None:
        app.state.open = False

    @app.task
    def work() -> None:
        entered.set()
        deadline = time.monotonic() + 20
        while app.state.open and time.monotonic() < deadline:
            pass
        raise ConnectionError("closed under it")

    run = work.enqueue()
    shutdown = Shutdown()
    worker = Worker(app.namespace, app.handlers, WorkerSettings(grace_s=0.1, beat_s=0.1), app.plugins)
    thread = start_thread(lambda: worker.run(shutdown), "worker of the test")
    assert entered.wait(60)
    shutdown.request()
    thread.join(60)
    record = run.record()
    assert (record.state, record.error, record.attempt) == ("pending", "", 0)
