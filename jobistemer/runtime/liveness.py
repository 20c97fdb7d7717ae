"""Liveness: which threads of a process are stuck, found without their help.

Each step of a watched thread records when it began, which is the whole cost. A thread is stuck when its step lasts
longer than any step should. A thread that waits for the server gets more time, since its time-outs bring it back.
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
"""No step takes so many seconds, including the pause after it."""
SERVER_S = 300.0
"""Limit for a step that waits for a server that never answers: several tries to connect and to read, seconds each."""
_REDIS_MODULE = "redis"
"""The package in whose code a thread is while it waits for the server."""


class _WatchedThread:
    """A watched thread. Only the thread itself writes `at`, so no lock is needed."""

    __slots__ = ("at", "ident", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.ident = threading.get_ident()
        self.at = time.monotonic()


class Liveness:
    """The threads of one process that must make steps as long as it lives."""

    def __init__(self) -> None:
        self._threads: dict[int, _WatchedThread] = {}
        self._failed: list[str] = []

    def repeat(self, step: Callable[[], float | None], stop: threading.Event, name: str) -> None:
        """Call a step until stopped, as `repeat.repeat` does, and watch this thread meanwhile."""

        def watched_step() -> float | None:
            self.touch()
            return step()

        with self.watch_thread(name):
            repeat(watched_step, stop, name)

    @contextmanager
    def watch_thread(self, name: str) -> Iterator[None]:
        """Watch this thread while the context lasts; it calls `touch` for each step."""
        mine = self._threads[threading.get_ident()] = _WatchedThread(name)
        try:
            yield
        except BaseException as error:
            # Kept in a list of its own: the identifier of a thread that has ended is used again for another thread.
            self._failed.append(f"{name} has ended: {type(error).__name__}: {error}")
            raise
        finally:
            del self._threads[mine.ident]

    def touch(self) -> None:
        """Record that this thread makes progress: it begins a step, or is in the middle of a long step."""
        if (mine := self._threads.get(threading.get_ident())) is not None:
            mine.at = time.monotonic()

    def stuck_threads(self) -> list[str]:
        """Return a text for each thread that is stuck or has failed, with its place in the code."""
        frames, now = sys._current_frames(), time.monotonic()  # noqa: SLF001 - the documented way to see other threads
        found = (_describe_if_stuck(each, now, frames.get(each.ident)) for each in list(self._threads.values()))
        return [*self._failed, *(text for text in found if text)]


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
