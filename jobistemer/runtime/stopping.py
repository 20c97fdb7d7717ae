"""How a process is asked to end: once for an orderly end, twice for an immediate one, SIGTSTP for quiet."""

from __future__ import annotations

import _thread
import signal
import threading
from types import FrameType


class Stopping:
    """What signals have asked for; roles look at it, tests set it."""

    def __init__(self) -> None:
        self.requested = threading.Event()
        self.immediate = threading.Event()
        self.quiet = threading.Event()

    def request(self) -> None:
        """Ask for an orderly end; asked again, for an immediate one."""
        if self.requested.is_set():
            self.immediate.set()
        self.requested.set()

    def listen(self) -> None:
        """Let SIGTERM, SIGINT and SIGTSTP ask. Only the main thread may call this."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTSTP, self._on_quiet)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        # On a thread of its own: this one may have been interrupted inside `wait`, holding the lock that `set` needs.
        _thread.start_new_thread(self.request, ())

    def _on_quiet(self, _number: int, _frame: FrameType | None) -> None:
        _thread.start_new_thread(self.quiet.set, ())
