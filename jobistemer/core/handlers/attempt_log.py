"""The log of an attempt: lines and progress that a handler writes while it runs."""

from __future__ import annotations

import msgspec

from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidInput
from jobistemer.core.safe_text import make_storable

MAX_LINES = 1_000
"""How many lines of one attempt are kept: the last ones."""
LONGEST_LINE = 4_000
"""How many characters of one line are kept."""


class LogLine(msgspec.Struct, frozen=True):
    """One line: n counts from 0 within the attempt, at is Unix milliseconds."""

    n: int
    at: int
    level: str
    text: str


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """The progress of an attempt; total is None when it is not known."""

    done: float
    total: float | None = None
    note: str = ""


class StoredProgress(Progress, frozen=True, omit_defaults=True):
    """A progress as it is stored. n: its number within the attempt, from 1; an older one does not replace it."""

    n: int = 0


class AttemptLogRecord(msgspec.Struct, frozen=True):
    """The stored log of one attempt: the lines asked for, how many were ever written, and the progress."""

    lines: list[LogLine]
    written: int
    progress: Progress | None


MAX_NUMBER = 1e300
"""The largest number of a progress: a whole number may have more digits than a float holds."""


def build_progress(done: float, total: float | None, note: str) -> Progress:
    """Build the progress of an attempt. Raises InvalidInput for a number that JSON cannot say."""
    for field, value in (("done", done), ("total", 0 if total is None else total)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_NUMBER:
            raise InvalidInput(f"progress: {field} is {show(value)}, allowed are finite numbers")
    return Progress(float(done), None if total is None else float(total), make_storable(note, LONGEST_LINE))


encode_line = msgspec.json.Encoder().encode
decode_line = msgspec.json.Decoder(LogLine).decode
_encode_progress = msgspec.json.Encoder().encode
decode_progress = msgspec.json.Decoder(Progress).decode


def encode_progress(progress: Progress, number: int) -> bytes:
    """Return a progress as it is stored. number: of the progress within the attempt, from 1."""
    return _encode_progress(StoredProgress(progress.done, progress.total, progress.note, number))
