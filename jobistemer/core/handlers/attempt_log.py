"""The log of an attempt: lines and progress that a handler writes while it runs."""

from __future__ import annotations

import msgspec

MAX_LINES = 1_000
"""How many lines of one attempt are kept: the last ones."""
MAX_BYTES = 256 * 1024
"""How many bytes of lines of one attempt are kept, in their stored form."""
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


class AttemptLogRecord(msgspec.Struct, frozen=True):
    """The stored log of one attempt: the lines asked for, how many were ever written, and the progress."""

    lines: list[LogLine]
    written: int
    progress: Progress | None


def shorten_line(text: str) -> str:
    """Cut the text of a line that is longer than LONGEST_LINE characters."""
    return text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]} … ({len(text)} characters)"


encode_line = msgspec.json.Encoder().encode
decode_line = msgspec.json.Decoder(LogLine).decode
encode_progress = msgspec.json.Encoder().encode
decode_progress = msgspec.json.Decoder(Progress).decode
