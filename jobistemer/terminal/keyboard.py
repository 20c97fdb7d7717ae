"""Keys and size changes of the terminal, read without delay while the program waits for something else."""

from __future__ import annotations

import os
import re
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
UP, DOWN = "up", "down"
ESCAPE: Final = "\x1b"
_KEYS: Final = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)
_ARROWS: Final = {"\x1b[A": UP, "\x1b[B": DOWN, "\x1bOA": UP, "\x1bOB": DOWN}
_WAKEUP_SIGNALS: Final = (signal.SIGWINCH, signal.SIGCONT)


class Keyboard:
    """Reads keys, if standard input is a terminal, and notices when the terminal has a new size or is back."""

    def __init__(self, read_end: int) -> None:
        self._wakeup_fd = read_end
        self._keys = [0] if sys.stdin.isatty() else []

    def read_keys(self, seconds: float) -> Iterator[str]:
        """Yield each key as it is pressed, UP and DOWN for arrows, RESIZED for a size change, for so many seconds."""
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
            # End of file: the terminal has gone. Reading on would return at once, again and again.
            self._keys = []
        yield from split_keys(keys.decode(errors="ignore"))

    def enter_cbreak(self) -> None:
        """Let the terminal deliver keys as they are pressed, not line by line."""
        if self._keys:
            # After SIGCONT the mode has to be set again: the shell has used the terminal in between.
            tty.setcbreak(0, termios.TCSANOW)


def split_keys(text: str) -> Iterator[str]:
    """Split what a terminal has sent into keys: UP and DOWN for arrows, nothing for other keys with a sequence."""
    for key in _KEYS.findall(text):
        if len(key) == 1 or key in _ARROWS:
            yield _ARROWS.get(key, key)


@contextmanager
def open_keyboard() -> Iterator[Keyboard]:
    """Read keys while the context lasts; afterwards the terminal and the signal handlers are as before."""
    read_end, write_end = os.pipe()
    for end in (read_end, write_end):
        os.set_blocking(end, False)
    before_fd = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    before = {number: signal.signal(number, _ignore_signal) for number in _WAKEUP_SIGNALS}
    # Ctrl-Z is ignored: the shell would get a terminal in the wrong mode, with our screen on it.
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
    """Do nothing: Python writes to the wakeup pipe only for a signal that has a handler."""
