"""Requests to a process: to end in order, to end at once, to take no new work (quiet), or to take work again."""

from __future__ import annotations

import _thread
import signal
import threading
from types import FrameType

WAIT_SLICE_S = 0.5


class Shutdown:
    """The requests so far. Signals set them, roles read them.

    requested: end in order. immediate: end at once. quiet: take no new work.
    """

    def __init__(self) -> None:
        self.requested = threading.Event()
        self.immediate = threading.Event()
        self.quiet = threading.Event()
        self._lock = threading.Lock()
        self._quiet_requested = False

    def request(self) -> None:
        """Request an orderly end; the second time, an immediate end."""
        with self._lock:
            if self.requested.is_set():
                self.immediate.set()
            self.requested.set()

    def request_order(self) -> None:
        """Request an orderly end; unlike `request`, any number of times: several threads may find the same reason."""
        with self._lock:
            self.requested.set()

    def wait(self) -> None:
        """Wait until an end is requested.

        It waits in slices, since Python handles signals between two steps of the main thread only: a signal that comes
        just before this thread sleeps in a lock would be handled with the next signal, which may never come.
        """
        while not self.requested.wait(WAIT_SLICE_S):
            pass

    def listen(self) -> None:
        """Let SIGTERM and SIGINT request the end, SIGTSTP quiet, and SIGCONT the end of quiet; main thread only."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTSTP, self._on_quiet)
        signal.signal(signal.SIGCONT, self._on_quiet)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        # On a thread of its own: the signal may have interrupted `wait` while it held the lock that `set` needs.
        _thread.start_new_thread(self.request, ())

    def _on_quiet(self, number: int, _frame: FrameType | None) -> None:
        # The last signal counts, even when the thread of an earlier signal runs last: each applies this value.
        self._quiet_requested = number == signal.SIGTSTP
        _thread.start_new_thread(self._apply_quiet, ())

    def _apply_quiet(self) -> None:
        with self._lock:
            if self._quiet_requested:
                self.quiet.set()
            else:
                self.quiet.clear()


def exit_on_signal(number: int, _frame: FrameType | None) -> None:
    """Handle SIGTERM in commands that are no role: raise SystemExit, so that they clean up as after Ctrl-C."""
    raise SystemExit(128 + number)
