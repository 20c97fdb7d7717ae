"""A thread that is stuck is named; a thread that waits, or ends as it should, is not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from jobistemer.core.errors import Misconfigured, NotConnected
from jobistemer.runtime import liveness as module
from jobistemer.runtime.liveness import SERVER_S, STEP_S, Liveness


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Monotonic seconds, moved by hand."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


@contextmanager
def stepping(liveness: Liveness, step, name: str = "worker w commit") -> Iterator[threading.Event]:
    """A watched thread whose step has begun; it is let go at the end."""
    begun, go_on, stop = threading.Event(), threading.Event(), threading.Event()

    def first():
        begun.set()
        step(go_on)

    thread = threading.Thread(target=liveness.repeat, args=(first, stop, name))
    thread.start()
    begun.wait()
    try:
        yield go_on
    finally:
        stop.set()
        go_on.set()
        thread.join()


def test_a_thread_is_stuck_when_its_step_takes_too_long_and_its_place_is_named(clock):
    liveness = Liveness()
    with stepping(liveness, lambda go_on: go_on.wait()):
        clock[0] += STEP_S
        assert liveness.stuck_threads() == []
        clock[0] += 5
        (trouble,) = liveness.stuck_threads()
        assert trouble.startswith("worker w commit has made no step for 35 s, it is at threading line ")
    assert liveness.stuck_threads() == []


def test_a_thread_that_waits_for_the_server_is_given_the_time_of_its_time_outs(clock):
    liveness, waiting = Liveness(), {"__name__": "redis.connection"}
    exec("def read_response(go_on): go_on.wait()", waiting)
    with stepping(liveness, waiting["read_response"]):
        clock[0] += SERVER_S
        assert liveness.stuck_threads() == []
        clock[0] += 1
        assert len(liveness.stuck_threads()) == 1


def test_a_long_step_that_says_that_it_gets_on_is_not_stuck(clock):
    liveness, marked, go_on = Liveness(), threading.Event(), threading.Event()

    def step():
        clock[0] += STEP_S + 1
        liveness.touch()
        marked.set()
        go_on.wait()

    stop = threading.Event()
    thread = threading.Thread(target=liveness.repeat, args=(step, stop, "ticker t"))
    thread.start()
    marked.wait()
    assert liveness.stuck_threads() == []
    stop.set()
    go_on.set()
    thread.join()


def test_steps_that_fail_because_the_server_is_away_are_steps(clock):
    liveness, stop = Liveness(), threading.Event()
    tries = []

    def step():
        clock[0] += STEP_S
        tries.append(liveness.stuck_threads())
        if len(tries) == 3:
            stop.set()
        raise NotConnected("away")

    liveness.repeat(step, stop, "worker w beat")
    assert tries == [[], [], []]


def test_a_thread_that_has_ended_by_an_error_is_reported_and_one_that_was_stopped_is_not():
    liveness = Liveness()

    def wrong():
        raise Misconfigured("shards is 3")

    with pytest.raises(Misconfigured):
        liveness.repeat(wrong, threading.Event(), "worker w commit")
    assert liveness.stuck_threads() == ["worker w commit has ended: Misconfigured: shards is 3"]


def test_touch_does_nothing_on_a_thread_that_is_not_watched():
    liveness = Liveness()
    liveness.touch()
    assert liveness.stuck_threads() == []
