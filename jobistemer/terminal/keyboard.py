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
_HEARD: Final = (signal.SIGWINCH, signal.SIGCONT)


class Keyboard:
    """What can be heard: keys, unless standard input is no terminal, and that the terminal is another one now."""

    def __init__(self, wakes: int) -> None:
        self._wakes = wakes
        self._keys = [0] if sys.stdin.isatty() else []

    def hear(self, seconds: float) -> Iterator[str]:
        """Each key as it comes, or RESIZED, for so many seconds."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            ready, _, _ = select.select([self._wakes, *self._keys], [], [], left)
            if self._wakes in ready:
                os.read(self._wakes, 1024)
                self.listen()
                yield RESIZED
            if 0 in ready:
                yield from self._read()

    def _read(self) -> Iterator[str]:
        keys = os.read(0, 1024)
        if not keys:
            # The terminal has gone: there is nothing to hear any more.
            self._keys = []
        yield from keys.decode(errors="ignore")

    def listen(self) -> None:
        """Have keys as they are pressed, and not line by line."""
        if self._keys:
            # A shell that had the terminal in between has set it up for itself.
            tty.setcbreak(0, termios.TCSANOW)


@contextmanager
def keyboard() -> Iterator[Keyboard]:
    """Listen while the context lasts; afterwards the terminal is what it was."""
    wakes, woken = os.pipe()
    for end in (wakes, woken):
        os.set_blocking(end, False)
    before_fd = signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    before = {number: signal.signal(number, _nothing) for number in _HEARD}
    # Ctrl-Z would leave the shell with a terminal that is drawn over.
    before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    attributes: list[Any] | None = termios.tcgetattr(0) if sys.stdin.isatty() else None
    try:
        heard = Keyboard(wakes)
        heard.listen()
        yield heard
    finally:
        if attributes is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, attributes)
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before_fd)
        os.close(wakes)
        os.close(woken)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """A signal with a handler writes to the pipe; that is all it is to do."""
