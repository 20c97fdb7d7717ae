"""Processes that a handler forks off itself: where the handler ends in one, the process ends, and nothing is recorded.

Such a process has a copy of the worker's memory and of its sockets, but of its threads only the one that has forked.
Left alone it would come out of the handler as a second slot: it would answer the worker in the place of a later run, or
wait for ever for one.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

is_forked = False
"""Whether a thread that runs handlers has forked this process off; looked at when a handler has ended."""

_slot_threads: set[int] = set()


@contextmanager
def watch_forks() -> Iterator[None]:
    """Watch over the current thread while it runs handlers."""
    global is_forked  # noqa: PLW0603 - a fact about the process that is read for each run
    # A process that was forked off may have slots of its own, such as that of a web server.
    is_forked = False
    _slot_threads.add(threading.get_ident())
    try:
        yield
    finally:
        # The system may give the identifier to another thread.
        _slot_threads.discard(threading.get_ident())


def end_forked(error: BaseException | None) -> NoReturn:
    """End a process that a handler has forked off, with the exit code of a program that ends in this way."""
    code = 0 if error is None else 1
    # Whatever else goes wrong, such as an exception whose text cannot be made: this process must not go on.
    with suppress(BaseException):
        if isinstance(error, SystemExit):
            code = _read_code(error.code)
        elif error is not None:
            traceback.print_exception(error)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    os._exit(code)


def _read_code(code: object) -> int:
    if code is None or isinstance(code, int):
        return (code or 0) & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1


def _note_fork() -> None:
    global is_forked  # noqa: PLW0603 - see above
    # Of its threads the new process has this one alone. Forked off by another one, it never comes out of a handler.
    is_forked = threading.get_ident() in _slot_threads


os.register_at_fork(after_in_child=_note_fork)
