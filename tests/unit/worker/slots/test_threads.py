"""Slots where the system has no more threads: neither a slot nor an attempt is lost."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from functools import partial
from queue import SimpleQueue
from threading import Event
from unittest.mock import Mock

import msgspec

from jobistemer.core.handlers.handler import Handler
from jobistemer.core.handlers.worker_hooks import WorkerHooks
from jobistemer.core.jobs.options import Options
from jobistemer.core.runs.message import WIRE_VERSION, Delivery
from jobistemer.core.runs.settle import Outcome
from jobistemer.core.states import AttemptState
from jobistemer.runtime.log_limit import forget_logged
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.attempts.in_flight import RunningAttempts
from jobistemer.worker.slots import coroutines, event_loop, threads
from jobistemer.worker.slots.blocked_loops import LoopSlots
from jobistemer.worker.slots.coroutines import CoroutineSlots
from jobistemer.worker.slots.event_loop import EventLoop
from jobistemer.worker.slots.process_hooks import renew_resources
from jobistemer.worker.slots.threads import ThreadSlots
from tests.support.lifecycle import build_attempt, message
from tests.unit.worker.execute.test_execute import HERE

GIVE_UP_S = 60


def make_attempt(name: str, function: object, crashes: int = 0) -> Attempt:
    handler = Handler("greet", function, Options(executor="auto"))
    return build_attempt(HERE, Delivery(b"s", name.encode(), message(run=name), 0, crashes), handler)


def no_threads(*_: object) -> None:
    raise RuntimeError("can't start new thread")


def wait_in_python(flag: Event) -> None:
    """Wait as code does that can be stopped: it executes Python now and then."""
    while not flag.wait(0.01):
        pass


def block_loop(attempts: RunningAttempts, reported: SimpleQueue[Attempt], released: Event) -> LoopSlots:
    """Slots whose loop run_1 blocks until `released` is set; run_2 waits."""
    began = Event()

    async def blocks() -> None:
        began.set()
        released.wait(GIVE_UP_S)

    async def runs() -> None: ...

    slots = LoopSlots(1, attempts, reported.put, None, 0.0, WorkerHooks())
    slots.put([make_attempt("run_1", blocks)])
    assert began.wait(GIVE_UP_S)
    slots.put([make_attempt("run_2", runs)])
    return slots


def test_a_slot_whose_stopped_thread_cannot_be_replaced_goes_on_when_its_handler_has_ended(monkeypatch):
    attempts, reported, began = RunningAttempts(), SimpleQueue[Attempt](), Event()

    def hangs() -> None:
        began.set()
        wait_in_python(Event())

    slots = ThreadSlots(1, attempts, reported.put, None)
    first, second = make_attempt("run_1", hangs), make_attempt("run_2", lambda: None)
    slots.put([first, second])
    assert began.wait(GIVE_UP_S)

    # When the watchdog stops the first while no thread can be started
    monkeypatch.setattr(threads, "start_thread", no_threads)
    assert attempts.end(first, Outcome(AttemptState.TIMED_OUT))
    first.stop()

    # Then its own thread runs the next one
    assert reported.get(timeout=GIVE_UP_S) is second
    assert slots.count_leaked(float("inf")) == 0
    slots.end()


def test_a_blocked_loop_is_replaced_by_the_first_check_that_has_a_thread_for_another(monkeypatch, caplog):
    attempts, reported, released = RunningAttempts(), SimpleQueue[Attempt](), Event()
    forget_logged()
    slots = block_loop(attempts, reported, released)
    blocked, opened = slots.loop, []
    new_loop = asyncio.new_event_loop

    # When the blocked loop cannot be replaced
    with monkeypatch.context() as patched:
        patched.setattr(event_loop, "start_thread", no_threads)
        patched.setattr(asyncio, "new_event_loop", lambda: opened.append(new_loop()) or opened[-1])
        assert [slots.check(attempts.running()) for _ in range(2)] == [0, 0]

    # Then the check returns, so that the watchdog goes on, and nothing is left or told of a loop that is not there
    assert slots.loop is blocked
    assert [each.is_closed() for each in opened] == [True, True]
    assert caplog.messages == ["a blocked event loop cannot be replaced: can't start new thread"]
    assert [each.timeout_note for each in attempts.running()] == [""]

    # And a later check replaces it
    slots.check(attempts.running())
    assert slots.loop is not blocked
    assert reported.get(timeout=GIVE_UP_S).delivery.message.run == "run_2"
    released.set()
    assert reported.get(timeout=GIVE_UP_S).delivery.message.run == "run_1"
    slots.end()


def test_a_blocked_loop_runs_what_has_waited_when_it_goes_on_before_it_can_be_replaced(monkeypatch):
    attempts, reported, released = RunningAttempts(), SimpleQueue[Attempt](), Event()
    slots = block_loop(attempts, reported, released)
    with monkeypatch.context() as patched:
        patched.setattr(event_loop, "start_thread", no_threads)
        slots.check(attempts.running())
    released.set()
    assert [reported.get(timeout=GIVE_UP_S).delivery.message.run for _ in range(2)] == ["run_1", "run_2"]
    slots.end()


def test_a_suspect_without_a_thread_to_wait_for_its_process_is_reported(monkeypatch):
    reported = SimpleQueue[Attempt]()
    suspect = make_attempt("run_1", lambda: None, crashes=1)

    async def serve() -> None:
        slots = CoroutineSlots(asyncio.get_running_loop(), deque([suspect]), RunningAttempts(), reported.put, Mock())
        slots.add()
        while reported.empty():
            await asyncio.sleep(0)
        slots.end()

    monkeypatch.setattr(coroutines, "start_thread", no_threads)
    asyncio.run(asyncio.wait_for(serve(), GIVE_UP_S))
    assert reported.get_nowait().outcome.state is AttemptState.FAILED


def test_a_coroutine_that_cancels_its_own_task_as_it_returns_has_an_outcome_and_its_slot_goes_on():
    attempts, reported = RunningAttempts(), SimpleQueue[Attempt]()

    async def cancels_and_returns() -> None:
        asyncio.current_task().cancel()

    async def runs() -> None: ...

    first, second = make_attempt("run_1", cancels_and_returns), make_attempt("run_2", runs)
    # With steps of an earlier attempt on record, which are looked at when the handler has returned.
    first.delivery = msgspec.structs.replace(first.delivery, message=message(run="run_1", wire=WIRE_VERSION))

    async def serve() -> None:
        slots = CoroutineSlots(asyncio.get_running_loop(), deque([first, second]), attempts, reported.put, None)
        slots.add()
        while reported.qsize() < 2:
            await asyncio.sleep(0)
        slots.end()

    asyncio.run(asyncio.wait_for(serve(), GIVE_UP_S))
    ended = [reported.get_nowait() for _ in range(2)]
    assert [(each, each.outcome.state) for each in ended] == [
        (first, AttemptState.FAILED),
        (second, AttemptState.SUCCEEDED),
    ]
    assert attempts.running() == []


def test_a_start_function_that_ends_with_sys_exit_does_not_cost_the_loop_that_replaces_a_blocked_one():
    attempts, reported = RunningAttempts(), SimpleQueue[Attempt]()

    async def leaves() -> None:
        sys.exit(3)

    async def runs() -> None: ...

    waiting = deque([make_attempt("run_1", runs)])
    hooks = WorkerHooks()
    hooks.starting.append(leaves)
    loop = EventLoop(1, waiting, attempts, reported.put, None, partial(renew_resources, hooks))
    assert reported.get(timeout=GIVE_UP_S).outcome.state is AttemptState.SUCCEEDED
    loop.end()
