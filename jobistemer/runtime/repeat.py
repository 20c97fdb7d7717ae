"""Repetition of a step until stopped. A lost connection makes it wait, and never ends its thread."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from typing import TypeVar

from jobistemer.core.errors import JobistemerError, Misconfigured, NotConnected, ServerRefused

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 2.0
STOP_LOOK_S = 0.1
"""How often a wait for a step that may hang looks whether it is to end."""
LOG_AGAIN_S = 30.0
"""Seconds after which an error that lasts unchanged is logged again."""

Result = TypeVar("Result")
Repeat = Callable[[Callable[[], float | None], threading.Event, str], None]
"""The signature of `repeat`."""

log = logging.getLogger("jobistemer")


def repeat(step: Callable[[], float | None], stop: threading.Event, name: str) -> None:
    """Call `step` until `stop` is set. The step returns the seconds to wait before its next call, or None for none.

    While the server is away or refuses, the step is tried again with growing pauses. Any other error is a bug in
    Jobistemer: it is logged with its traceback and the thread goes on, because a scheduler that has silently ended is
    the worst failure of all. Raises Misconfigured, which no waiting mends.
    """
    pause, outage = FIRST_PAUSE_S, _Outage(name)
    while not stop.is_set():
        worked, wait = _try_step(step, outage)
        if worked:
            pause = FIRST_PAUSE_S
            if wait:
                stop.wait(wait)
        else:
            pause = _back_off(pause, stop)


def retry_until_done(step: Callable[[], object], stop: threading.Event, name: str) -> bool:
    """Call `step` as `repeat` does until it has succeeded once. Returns False when `stop` was set before that.

    Raises Misconfigured, which no waiting mends.
    """
    pause, outage = FIRST_PAUSE_S, _Outage(name)
    while not stop.is_set():
        if _try_step(step, outage)[0]:
            return True
        pause = _back_off(pause, stop)
    return False


def retry_apart(step: Callable[[], object], stop: threading.Event, name: str) -> bool:
    """Do the same on a thread that is left behind when `stop` is set: a server may keep a step waiting for long."""
    future = call_apart(partial(retry_until_done, step, stop, name), "connect")
    while not wait([future], STOP_LOOK_S).done and not stop.is_set():
        pass
    return future.done() and future.result()


def call_apart(step: Callable[[], Result], name: str) -> Future[Result]:
    """Call `step` on a daemon thread. Returns its future, which has what the step returns or raises.

    An executor would do the same, but its threads keep the process from ending.
    """
    future = Future[Result]()

    def work() -> None:
        try:
            future.set_result(step())
        except BaseException as error:  # noqa: BLE001 - raised by the thread that asks for the result
            future.set_exception(error)

    start_thread(work, name)
    return future


def run_within(seconds: float, step: Callable[[], object], name: str) -> bool:
    """Call `step` on a thread of its own. Returns False when it has not ended in time: then it is left behind."""
    thread = start_thread(step, name)
    thread.join(seconds)
    return not thread.is_alive()


class _Outage:
    """The time in which a step fails: logged when it begins, when the error changes, now and then, and at its end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._text = ""
        self._since = self._logged_at = 0.0

    def record(self, error: JobistemerError) -> None:
        """Log a failure, unless the same one was logged a short time ago."""
        now, text = time.monotonic(), str(error)
        if not self._text:
            self._since = now
        if text != self._text or now - self._logged_at >= LOG_AGAIN_S:
            self._logged_at = now
            log.warning("%s: %s", self.name, text)
        self._text = text

    def end(self) -> None:
        """Log the end of the outage, if there was one."""
        if self._text:
            log.info("%s: goes on after %.1f s", self.name, time.monotonic() - self._since)
            self._text = ""


def _try_step(step: Callable[[], Result], outage: _Outage) -> tuple[bool, Result | None]:
    try:
        result = step()
    except Misconfigured:
        # Only a person can mend the configuration, so the process must end with the error.
        raise
    except (NotConnected, ServerRefused) as error:
        outage.record(error)
    except Exception:
        log.exception("%s: unexpected error, trying again", outage.name)
    else:
        outage.end()
        return True, result
    return False, None


def _back_off(pause: float, stop: threading.Event) -> float:
    # Jitter: after an outage the processes must not all come back in the same instant.
    stop.wait(pause * random.uniform(0.5, 1.0))
    return min(pause * 2, LONGEST_PAUSE_S)


def start_thread(target: Callable[[], object], name: str) -> threading.Thread:
    """Start a daemon thread and return it: a process must be able to end whatever its threads do."""
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread


def run_apart(step: Callable[[], object], name: str) -> None:
    """Call `step` on a thread of its own and do not wait for it; in this thread when the system has no more threads."""
    try:
        start_thread(step, name)
    except RuntimeError:
        step()
