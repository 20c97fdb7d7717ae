"""Vitals: which threads of a process no longer move, told without asking them.

Each step of a watched thread notes when it began, which is all that this costs. A thread is stuck when its step has
gone on for longer than any step should; one that waits for the server is not, since its time-outs bring it back.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from jobistemer.runtime.repeat import repeat

STEP_S = 30.0
"""No step of ours takes so long, the pause after it included."""
SERVER_S = 300.0
"""Nor does one that waits for a server which never answers: some tries of some seconds each, to connect and to read."""
_REDIS_MODULE = "redis"
"""Where a thread is that waits for the server."""


class _WatchedThread:
    """One thread; it alone writes here."""

    __slots__ = ("at", "ident", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.ident = threading.get_ident()
        self.at = time.monotonic()


class Liveness:
    """The threads of one process that have to move as long as it lives."""

    def __init__(self) -> None:
        self._threads: dict[int, _WatchedThread] = {}
        self._ended: list[str] = []

    def repeat(self, step: Callable[[], float | None], stop: threading.Event, name: str) -> None:
        """Repeat a step until stopped, as `repeating.repeat` does, and be watched meanwhile."""

        def watched_step() -> float | None:
            self.touch()
            return step()

        with self.watch_thread(name):
            repeat(watched_step, stop, name)

    @contextmanager
    def watch_thread(self, name: str) -> Iterator[None]:
        """Watch this thread meanwhile; it says by `touch` that it moves."""
        mine = self._threads[threading.get_ident()] = _WatchedThread(name)
        try:
            yield
        except BaseException as error:
            # Kept apart: the number of a thread that has ended is given to another one.
            self._ended.append(f"{name} has ended: {type(error).__name__}: {error}")
            raise
        finally:
            del self._threads[mine.ident]

    def touch(self) -> None:
        """Note that this thread moves: it begins a step, or gets on with a long one."""
        if (mine := self._threads.get(threading.get_ident())) is not None:
            mine.at = time.monotonic()

    def stuck_threads(self) -> list[str]:
        """What no longer moves, with the place in the code where it stands; empty while all is well."""
        frames, now = sys._current_frames(), time.monotonic()  # noqa: SLF001 - the documented way to see other threads
        found = (_describe_if_stuck(each, now, frames.get(each.ident)) for each in list(self._threads.values()))
        return [*self._ended, *(trouble for trouble in found if trouble)]


def _describe_if_stuck(thread: _WatchedThread, now: float, frame: FrameType | None) -> str:
    lasts = now - thread.at
    if lasts <= STEP_S or (lasts <= SERVER_S and _waits_for_server(frame)):
        return ""
    return f"{thread.name} has made no step for {lasts:.0f} s{_code_location(frame)}"


def _waits_for_server(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] == _REDIS_MODULE:
            return True
        frame = frame.f_back
    return False


def _code_location(frame: FrameType | None) -> str:
    if frame is None:
        return ""
    return f", it is at {frame.f_globals.get('__name__', '?')} line {frame.f_lineno} ({frame.f_code.co_name})"
