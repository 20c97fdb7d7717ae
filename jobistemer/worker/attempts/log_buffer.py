"""The log buffer of one attempt: its last lines and its progress, until the server has them."""

from __future__ import annotations

import threading
from collections import deque

from msgspec import structs

from jobistemer.core.handlers.attempt_log import (
    LONGEST_LINE,
    MAX_LINES,
    LogLine,
    Progress,
    encode_line,
    encode_progress,
)
from jobistemer.core.runs.message import Delivery
from jobistemer.core.safe_text import make_storable
from jobistemer.core.sizes import DEFAULT_LOG_BYTES
from jobistemer.store.calls import attempt_log
from jobistemer.store.keys import Keys
from jobistemer.store.scripts import ScriptCall

CHARACTERS_SHARE = 16
"""One character in so many bytes of a log may belong to one line: escaped it takes up to six, and others must fit."""

MARK_LENGTH = 40
"""A text that was cut before is longer than allowed by the mark that says so, and must not be cut again."""


class LogBuffer:
    """The last lines of one attempt, written by the handler's threads, sent by the log shipper and the committer.

    max_bytes: of the lines and the progress together; the oldest lines go first, and readers know by the numbers of the
    lines how many have gone.

    Sending twice is harmless: lines have numbers. A line stays here after it was sent, as long as it is among those
    that are kept: so their bytes are known.
    """

    def __init__(self, max_bytes: int = DEFAULT_LOG_BYTES) -> None:
        self._max_bytes = max_bytes
        self._longest = min(LONGEST_LINE, max_bytes // CHARACTERS_SHARE)
        self._lock = threading.Lock()
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._progress = b""
        self._progress_sent = b""
        self._progress_number = 0
        self.written = 0
        self._acknowledged = 0

    @property
    def has_content(self) -> bool:
        """Return whether anything was ever logged or shown."""
        return bool(self.written or self._progress)

    def add(self, at_ms: int, level: str, text: str) -> None:
        """Add a line; the oldest go when there are too many or too large ones."""
        with self._lock:
            line = encode_line(LogLine(self.written, at_ms, level, make_storable(text, self._longest)))
            self._lines.append(line)
            self._bytes += len(line)
            self.written += 1
            self._drop_oldest()

    def set_progress(self, progress: Progress) -> None:
        """Replace the progress; the oldest lines go when there is no room for both."""
        if len(progress.note) > self._longest + MARK_LENGTH:
            progress = structs.replace(progress, note=make_storable(progress.note, self._longest))
        with self._lock:
            self._progress_number += 1
            self._progress = encode_progress(progress, self._progress_number)
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        while len(self._lines) > MAX_LINES or (self._lines and self._bytes + len(self._progress) > self._max_bytes):
            self._bytes -= len(self._lines.popleft())

    def calls(self, keys: Keys, delivery: Delivery, expiry_ms: int) -> list[ScriptCall]:
        """Build the calls that bring the server up to date; with nothing new, one that sets the expiry."""
        with self._lock:
            # All of it under the lock: the handler may log meanwhile, and the lines would not fit their numbers.
            kept = len(self._lines)
            first = max(self._acknowledged, self.written - kept)
            waiting = list(self._lines)[kept - (self.written - first) :]
            progress = b"" if self._progress == self._progress_sent else self._progress
        parts = [
            waiting[at : at + attempt_log.MAX_LINES_PER_CALL]
            for at in range(0, len(waiting), attempt_log.MAX_LINES_PER_CALL)
        ] or [[]]
        return [
            attempt_log.write_attempt_log(
                keys, delivery, part, first + at * attempt_log.MAX_LINES_PER_CALL, kept, progress, expiry_ms
            )
            for at, part in enumerate(parts)
        ]

    def acknowledge(self, written: int, progress: bytes) -> None:
        """Note that the server has the lines before number `written`, and this progress."""
        with self._lock:
            self._acknowledged = max(self._acknowledged, written)
            self._progress_sent = progress

    def position(self) -> tuple[int, bytes]:
        """Return the arguments of `acknowledge` for the time when the calls made now have been answered."""
        return self.written, self._progress
