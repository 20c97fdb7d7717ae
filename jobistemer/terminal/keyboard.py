"""Keys and the size of the terminal, heard at once while the next look is waited for."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

RESIZED: Final = "resized"
_WAKEUP_SIGNALS: Final = (signal.SIGWINCH, signal.SIGCONT)


class Keyboard:
    """What can be heard: keys, unless standard input is no terminal, and that the terminal is another one now."""

    def __init__(self, read_end: int) -> None:
        self._wakeup_fd = read_end
        self._keys = [0] if sys.stdin.isatty() else []

    def read_keys(self, seconds: float) -> Iterator[str]:
        """Each key as it comes, or RESIZED, for so many seconds."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            ready, _, _ = select.select([self._wakeup_fd, *self._keys], [], [], left)
            if self._wakeup_fd in ready:
                os.read(self._wakeup_fd, 1024)
                self.enter_cbreak()
                yield RESIZED
            if 0 in ready:
                yield from self._read()

    def _read(self) -> Iterator[str]:
        keys = os.read(0, 1024)
        if not keys:
            # The terminal has gone: there is nothing to hear any more.
            self._keys = []
        yield from keys.decode(errors="ignore")

    def enter_cbreak(self) -> None:
        """Have keys as they are pressed, and not line by line."""
        if self._keys:
            # A shell that had the terminal in between has set it up for itself.
            tty.setcbreak(0, termios.TCSANOW)


@contextmanager
def open_keyboard() -> Iterator[Keyboard]:
    """Listen while the context lasts; afterwards the terminal is what it was."""
    read_end, write_end = os.pipe()
    for end in (read_end, write_end):
        os.set_blocking(end, False)
    before_fd = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    before = {number: signal.signal(number, _ignore_signal) for number in _WAKEUP_SIGNALS}
    # Ctrl-Z would leave the shell with a terminal that is drawn over.
    before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    attributes: list[Any] | None = termios.tcgetattr(0) if sys.stdin.isatty() else None
    try:
        keys = Keyboard(read_end)
        keys.enter_cbreak()
        yield keys
    finally:
        if attributes is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, attributes)
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before_fd)
        os.close(read_end)
        os.close(write_end)


def _ignore_signal(_number: int, _frame: FrameType | None) -> None:
    """A signal with a handler writes to the pipe; that is all it is to do."""
