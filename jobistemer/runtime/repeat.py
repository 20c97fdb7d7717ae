"""Repeat a step until stopped: a lost connection is waited out, never the end of a thread."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from jobistemer.core.errors import JobistemerError, Misconfigured, NotConnected, ServerRefused

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 2.0
LOG_AGAIN_S = 30.0
"""How often a trouble is told that goes on unchanged."""

Result = TypeVar("Result")
Repeat = Callable[[Callable[[], float | None], threading.Event, str], None]
"""What `repeat` is."""

log = logging.getLogger("jobistemer")


def repeat(step: Callable[[], float | None], stop: threading.Event, name: str) -> None:
    """Call `step` until `stop` is set; it returns the seconds to wait before the next call, or None for none.

    While the server is away or refuses, the step is tried again with growing pauses. Any other error is a bug of
    ours: it is logged whole and the thread goes on, because a scheduler that has silently ended is the worst of all.
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
    """Call `step` until it has succeeded once, as `repeat` does; False when `stop` was set before that.

    Raises Misconfigured.
    """
    pause, outage = FIRST_PAUSE_S, _Outage(name)
    while not stop.is_set():
        if _try_step(step, outage)[0]:
            return True
        pause = _back_off(pause, stop)
    return False


class _Outage:
    """Why a step does not work: told when that begins or changes, from time to time while it lasts, and at its end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._text = ""
        self._since = self._logged_at = 0.0

    def record(self, error: JobistemerError) -> None:
        """It is there."""
        now, text = time.monotonic(), str(error)
        if not self._text:
            self._since = now
        if text != self._text or now - self._logged_at >= LOG_AGAIN_S:
            self._logged_at = now
            log.warning("%s: %s", self.name, text)
        self._text = text

    def end(self) -> None:
        """It is not there, or no more."""
        if self._text:
            log.info("%s: goes on after %.1f s", self.name, time.monotonic() - self._since)
            self._text = ""


def _try_step(step: Callable[[], Result], outage: _Outage) -> tuple[bool, Result | None]:
    try:
        result = step()
    except Misconfigured:
        # No waiting mends it, and a person has to hear of it.
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
    # Jitter: after an outage not everybody comes back in the same instant.
    stop.wait(pause * random.uniform(0.5, 1.0))
    return min(pause * 2, LONGEST_PAUSE_S)


def start_thread(target: Callable[[], None], name: str) -> threading.Thread:
    """Start a daemon thread: a process must be able to end whatever its threads do."""
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread
