"""Repetition of steps: a failing step is tried again, a stop ends it."""

from __future__ import annotations

import logging
import os
import signal
import threading

import pytest

from jobistemer.core.errors import Misconfigured, NotConnected, ServerRefused
from jobistemer.runtime import repeat as repeating
from jobistemer.runtime.repeat import LOG_AGAIN_S, LONGEST_PAUSE_S, repeat, retry_until_done
from jobistemer.runtime.shutdown import Shutdown
from tests.support.worker_processes import wait_until


class Patient(threading.Event):
    """An event that does not wait, and notes how long it was asked to."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout or 0.0)
        return self.is_set()


def steps(stop: threading.Event, *results):
    """A step that gives these results in turn, raising those that are errors, and then stops."""
    waiting = list(results)

    def step():
        if not waiting:
            stop.set()
            return None
        result = waiting.pop(0)
        if isinstance(result, BaseException):
            raise result
        return result

    return step


def test_a_step_says_how_long_to_wait_for_the_next():
    stop = Patient()
    repeat(steps(stop, 1.5, None, 0.25), stop, "role")
    assert stop.pauses == [1.5, 0.25]


@pytest.mark.parametrize("error", [NotConnected("away"), ServerRefused("read only"), ZeroDivisionError("a bug")])
def test_a_failing_step_is_tried_again_with_growing_pauses(error, monkeypatch):
    monkeypatch.setattr(repeating.random, "uniform", lambda low, high: high)
    stop = Patient()
    repeat(steps(stop, *[error] * 8, None, error), stop, "role")
    assert stop.pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, LONGEST_PAUSE_S, LONGEST_PAUSE_S, 0.05]


def test_a_lost_connection_is_a_warning_and_a_bug_is_logged_whole(caplog):
    stop = Patient()
    repeat(steps(stop, NotConnected("nobody answers"), ZeroDivisionError("a bug")), stop, "ticker x")
    assert [(each.levelno, each.message) for each in caplog.records] == [
        (logging.WARNING, "ticker x: nobody answers"),
        (logging.ERROR, "ticker x: unexpected error, trying again"),
    ]
    assert caplog.records[1].exc_info is not None


def test_an_outage_is_logged_once_when_its_error_changes_from_time_to_time_and_when_it_is_over(caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    passed = iter([0.0, 1.0, 2.0, 3.0, 3.0 + LOG_AGAIN_S, 40.0])
    monkeypatch.setattr(repeating.time, "monotonic", lambda: next(passed))
    stop, away, full = Patient(), NotConnected("away"), ServerRefused("full")
    repeat(steps(stop, away, away, full, full, full, None, None), stop, "ticker x")
    assert [each.message for each in caplog.records] == [
        "ticker x: away",
        "ticker x: full",
        "ticker x: full",
        "ticker x: goes on after 40.0 s",
    ]


def test_a_stop_ends_it_before_the_next_step():
    stop = threading.Event()
    stop.set()
    repeat(lambda: pytest.fail("it went on"), stop, "role")


def test_until_done_ends_with_the_first_success():
    stop, calls = Patient(), []

    def third_time_lucky():
        calls.append(1)
        if len(calls) < 3:
            raise NotConnected("away")

    assert retry_until_done(third_time_lucky, stop, "role")
    assert len(calls) == 3


def test_until_done_gives_up_when_it_is_stopped():
    stop = Patient()

    def never():
        stop.set()
        raise NotConnected("away")

    assert not retry_until_done(never, stop, "role")


def test_an_error_that_no_waiting_mends_is_raised():
    with pytest.raises(Misconfigured):
        retry_until_done(lambda: _raise(Misconfigured("3 shards")), threading.Event(), "role")


def _raise(error):
    raise error


def test_asked_twice_means_at_once():
    shutdown = Shutdown()
    shutdown.request()
    assert (shutdown.requested.is_set(), shutdown.immediate.is_set()) == (True, False)
    shutdown.request()
    assert shutdown.immediate.is_set()


@pytest.fixture
def listening():
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGTSTP, signal.SIGCONT)
    before = [signal.getsignal(number) for number in numbers]
    shutdown = Shutdown()
    shutdown.listen()
    yield shutdown
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "event"), [(signal.SIGTERM, "requested"), (signal.SIGINT, "requested"), (signal.SIGTSTP, "quiet")]
)
def test_signals_ask(listening, number, event):
    os.kill(os.getpid(), number)
    assert getattr(listening, event).wait(60)


def test_a_quiet_process_takes_work_again_on_sigcont(listening):
    os.kill(os.getpid(), signal.SIGTSTP)
    assert listening.quiet.wait(60)
    os.kill(os.getpid(), signal.SIGCONT)
    wait_until(lambda: not listening.quiet.is_set(), "it is no longer quiet")


def test_a_signal_that_interrupts_the_lock_it_needs_does_not_hang(listening):
    # Given a main thread that is inside the lock of the event, as `wait` is for a moment
    with listening.requested._cond:
        os.kill(os.getpid(), signal.SIGTERM)
    # Then the signal is heard all the same
    assert listening.requested.wait(60)
