"""Log lines: for people, or as JSON for machines. What users wrote can neither break a line nor move a cursor."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO

import msgspec

from jobistemer.core.errors import Misconfigured
from jobistemer.core.printable import printable

LEVELS = ("debug", "info", "warning", "error")


class LinesForPeople(logging.Formatter):
    """`12:30:05 warning  message`, with a traceback indented below."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as text; only the traceback may have lines of its own."""
        at = datetime.fromtimestamp(record.created, UTC)
        about = "".join(f" {key}={value}" for key, value in _facts(record).items() if key in ("task", "run"))
        line = f"{at:%H:%M:%S} {record.levelname.lower():8} {printable(record.getMessage() + about)}"
        return "\n    ".join([line, *(printable(each) for each in _traceback(self, record))])


class LinesForMachines(logging.Formatter):
    """One JSON object per line: at, level, logger, message; run, task and attempt of a handler; traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as JSON."""
        fields = {
            "at": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_facts(record),
        }
        if trace := _traceback(self, record):
            fields["traceback"] = "\n".join(trace)
        return msgspec.json.encode(fields).decode()


def set_up_logging(level: str, formatter: logging.Formatter) -> None:
    """Send what this process logs to standard error. Raises Misconfigured for an unknown level."""
    if level not in LEVELS:
        raise Misconfigured(f"log level is {level!r}, allowed are {', '.join(LEVELS)}")
    handler = logging.StreamHandler(_own_stderr())
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # A line that cannot be written is lost; it must not end the thread that logs it.
    logging.raiseExceptions = False


def _own_stderr() -> TextIO:
    """Standard error by a descriptor of our own, which stays open when a handler closes the other one."""
    try:
        return os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    except (OSError, ValueError, AttributeError):
        # It is no file at all, in a test or an embedding application.
        return sys.stderr


def _facts(record: logging.LogRecord) -> Mapping[str, object]:
    """What the logger of a run knows about it."""
    facts: Mapping[str, object] = getattr(record, "facts", {})
    return facts


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    if record.exc_info:
        return formatter.formatException(record.exc_info).splitlines()
    # What was logged in a process beside this one comes as text.
    return (record.exc_text or "").splitlines()
