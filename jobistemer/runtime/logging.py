"""Log lines: for people, or as JSON for machines. What users wrote can neither break a line nor move a cursor."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, TextIO

import msgspec

from jobistemer.core.errors import Misconfigured
from jobistemer.core.safe_text import escape_text, hide_secrets

LEVELS = ("debug", "info", "warning", "error")


class TextFormatter(logging.Formatter):
    """`12:30:05 warning  message`, with a traceback indented below."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as text; only the traceback may have lines of its own."""
        at, message = datetime.fromtimestamp(record.created, UTC), _message(record)
        facts = {key: value for key, value in _facts(record).items() if key in ("task", "run")}
        about = "".join(f" {key}={value}" for key, value in facts.items() if str(value) not in message)
        line = f"{at:%H:%M:%S} {record.levelname.lower():8} {escape_text(message + about)}"
        return "\n    ".join([line, *(escape_text(each) for each in _traceback(self, record))])


class JsonFormatter(logging.Formatter):
    """One JSON object per line; the fields are on the page about observing."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as JSON, whatever its author has put into it."""
        fields = self._fields(record)
        try:
            line = msgspec.json.encode(fields, enc_hook=repr).decode()
        except Exception as error:  # noqa: BLE001 - halves of characters, circles, a `__repr__` that raises
            fallback = {"message": escape_text(_message(record)), "unwritable": f"{type(error).__name__}: {error}"}
            rest = {name: fields[name] for name in ("at", "level", "logger", "pid", "thread")}
            line = msgspec.json.encode({**rest, **fallback}, enc_hook=repr).decode()
        # These end a line too for some who read one.
        return line.translate(_LINE_ENDS)

    def _fields(self, record: logging.LogRecord) -> dict[str, object]:
        fields: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        fields |= {name: _redact(value) for name, value in _facts(record).items() if name not in fields}
        if exception := self._exception_fields(record):
            fields["exception"] = exception
        if extra := {name: _redact(value) for name, value in vars(record).items() if name not in _STANDARD}:
            fields["extra"] = extra
        return {**fields, "pid": record.process, "thread": record.threadName}

    def _exception_fields(self, record: logging.LogRecord) -> dict[str, object]:
        trace = _traceback(self, record)
        if not trace:
            return {}
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return {"traceback": trace}
        return {"type": type(error).__qualname__, "message": _error_text(error), "traceback": trace}


_LINE_ENDS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}
_STANDARD = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "facts"})
FORMATS: Final[Mapping[str, type[logging.Formatter]]] = {"text": TextFormatter, "json": JsonFormatter}


def facts(**known: object) -> dict[str, dict[str, object]]:
    """The `extra` of a log line about a run, a job or an occurrence: what machines find beside the words."""
    return {"facts": known}


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


def _message(record: logging.LogRecord) -> str:
    try:
        return hide_secrets(record.getMessage())
    except Exception as error:  # noqa: BLE001 - arguments that do not fit, or a `__str__` that raises
        return f"(a log line that cannot be formatted: {type(error).__name__}) {record.msg!s:.200}"


def _error_text(error: BaseException) -> str:
    try:
        return hide_secrets(str(error))
    except Exception:  # noqa: BLE001 - it is user code
        return ""


def _redact(value: object) -> object:
    return hide_secrets(value) if isinstance(value, str) else value


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    if record.exc_info:
        return hide_secrets(formatter.formatException(record.exc_info)).splitlines()
    # What was logged in a process beside this one comes as text.
    return hide_secrets(record.exc_text or "").splitlines()
