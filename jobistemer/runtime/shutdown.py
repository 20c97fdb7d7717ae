"""How a process is asked to end: once in order, twice at once; SIGTSTP for quiet, SIGCONT for going on."""

from __future__ import annotations

import _thread
import signal
import threading
from types import FrameType

SLICE_S = 0.5


class Shutdown:
    """What signals have asked for; roles look at it, tests set it."""

    def __init__(self) -> None:
        self.requested = threading.Event()
        self.immediate = threading.Event()
        self.quiet = threading.Event()
        self._lock = threading.Lock()
        self._quiet_requested = False

    def request(self) -> None:
        """Ask for an orderly end; asked again, for an immediate one."""
        with self._lock:
            if self.requested.is_set():
                self.immediate.set()
            self.requested.set()

    def wait(self) -> None:
        """Wait until an end is asked for.

        In slices, since Python hears a signal between two steps of the main thread only: one that comes just before it
        falls asleep in a lock would be heard with the next signal, which need not come.
        """
        while not self.requested.wait(SLICE_S):
            pass

    def listen(self) -> None:
        """Let SIGTERM, SIGINT, SIGTSTP and SIGCONT ask. Only the main thread may call this."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTSTP, self._on_quiet)
        signal.signal(signal.SIGCONT, self._on_quiet)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        # On a thread of its own: this one may have been interrupted inside `wait`, holding the lock that `set` needs.
        _thread.start_new_thread(self.request, ())

    def _on_quiet(self, number: int, _frame: FrameType | None) -> None:
        # The last signal counts, whichever of the threads that make it known comes last.
        self._quiet_requested = number == signal.SIGTSTP
        _thread.start_new_thread(self._apply_quiet, ())

    def _apply_quiet(self) -> None:
        with self._lock:
            if self._quiet_requested:
                self.quiet.set()
            else:
                self.quiet.clear()


def exit_on_signal(number: int, _frame: FrameType | None) -> None:
    """A handler of SIGTERM for commands that are no role: they end like with Ctrl-C, and clean up what they began."""
    raise SystemExit(128 + number)
