"""Log lines: for people, or as JSON for machines. Text of users can neither break a line nor move the cursor."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, TextIO

import msgspec

from jobistemer.core.errors import Misconfigured
from jobistemer.core.safe_text import escape_json, escape_text, hide_secrets

LEVELS = ("debug", "info", "warning", "error")


class TextFormatter(logging.Formatter):
    """The format for people: `12:30:05 warning  message`, with a traceback indented below."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as text; only its traceback has lines of its own."""
        at, message = datetime.fromtimestamp(record.created, UTC), _format_message(record)
        facts = {key: value for key, value in _read_facts(record).items() if key in ("task", "run")}
        about = "".join(f" {key}={value}" for key, value in facts.items() if str(value) not in message)
        line = f"{at:%H:%M:%S} {record.levelname.lower():8} {escape_text(message + about)}"
        return "\n    ".join([line, *(escape_text(each) for each in _format_traceback(self, record))])


class JsonFormatter(logging.Formatter):
    """The format for machines: one JSON object per line, with the fields that `docs/how-to/observe.md` lists."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as JSON, whatever values it holds."""
        fields = self._collect_fields(record)
        try:
            line = msgspec.json.encode(fields, enc_hook=repr).decode()
        except Exception as error:  # noqa: BLE001 - lone surrogates, circular values, a `__repr__` that raises
            fallback = {
                "message": escape_text(_format_message(record)),
                "unwritable": f"{type(error).__name__}: {error}",
            }
            rest = {name: fields[name] for name in ("at", "level", "logger", "pid", "thread")}
            line = msgspec.json.encode({**rest, **fallback}, enc_hook=repr).decode()
        # A terminal obeys some characters that JSON allows, and some readers take others for the end of a line.
        return escape_json(line)

    def _collect_fields(self, record: logging.LogRecord) -> dict[str, object]:
        fields: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _format_message(record),
        }
        fields |= {name: _redact(value) for name, value in _read_facts(record).items() if name not in fields}
        if exception := self._exception_fields(record):
            fields["exception"] = exception
        if extra := {name: _redact(value) for name, value in vars(record).items() if name not in _STANDARD}:
            fields["extra"] = extra
        return {**fields, "pid": record.process, "thread": record.threadName}

    def _exception_fields(self, record: logging.LogRecord) -> dict[str, object]:
        trace = _format_traceback(self, record)
        if not trace:
            return {}
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return {"traceback": trace}
        return {"type": type(error).__qualname__, "message": _format_error(error), "traceback": trace}


_STANDARD = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "facts"})
FORMATS: Final[Mapping[str, type[logging.Formatter]]] = {"text": TextFormatter, "json": JsonFormatter}


def facts(**known: object) -> dict[str, dict[str, object]]:
    """Return the `extra` of a log line about a run, a job or an occurrence, which JSON lines show as fields."""
    return {"facts": known}


def set_up_logging(level: str, formatter: logging.Formatter) -> None:
    """Send the log of this process to standard error, unless the application has set up handlers of its own.

    With handlers of the application only the level of the `jobistemer` loggers is set, where the application has not
    done so. Raises Misconfigured for an unknown level.
    """
    if level.lower() not in LEVELS:
        raise Misconfigured(f"log level is {level!r}, allowed are {', '.join(LEVELS)}")
    own = logging.getLogger("jobistemer")
    if own.hasHandlers():
        if own.level == logging.NOTSET:
            own.setLevel(level.upper())
    else:
        handler = logging.StreamHandler(_open_stderr())
        handler.setFormatter(formatter)
        logging.basicConfig(level=level.upper(), handlers=[handler])
    enable_own_loggers()
    # A line that cannot be written is lost: an exception would end the thread that logs it.
    logging.raiseExceptions = False


def enable_own_loggers() -> None:
    """Let the loggers of this package speak again: a `dictConfig` of the application silences all that exist before."""
    for name, logger in logging.root.manager.loggerDict.items():
        if isinstance(logger, logging.Logger) and (name == "jobistemer" or name.startswith("jobistemer.")):
            logger.disabled = False


def log_failure(logger: logging.Logger, text: str, trace: str, known: Mapping[str, object]) -> None:
    """Log at level error that a run has failed, with the end of its trace unless the process logs none.

    The trace is a text: the exception is gone by then, or was raised in another process.
    """
    if not logger.isEnabledFor(logging.ERROR):
        return
    record = logger.makeRecord(logger.name, logging.ERROR, "", 0, "%s", (text,), None, extra=facts(**known))
    record.exc_text = trace if trace and RunTracebacks.logged else None
    logger.handle(record)


class RunTracebacks:
    """Whether this process logs the traces of runs that have failed: `--no-log-tracebacks` says no."""

    logged = True


def _open_stderr() -> TextIO:
    """Open standard error by another descriptor, which stays open when a task handler closes the original."""
    try:
        return os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    except (OSError, ValueError, AttributeError):
        # Standard error has no descriptor, in a test or in an application that embeds this process.
        return sys.stderr


def _read_facts(record: logging.LogRecord) -> Mapping[str, object]:
    """Return the facts that the logger of a run adds to a record."""
    facts: Mapping[str, object] = getattr(record, "facts", {})
    return facts


def _format_message(record: logging.LogRecord) -> str:
    try:
        return hide_secrets(record.getMessage())
    except Exception as error:  # noqa: BLE001 - arguments that do not fit, or a `__str__` that raises
        return f"(a log line that cannot be formatted: {type(error).__name__}) {record.msg!s:.200}"


def _format_error(error: BaseException) -> str:
    try:
        return hide_secrets(str(error))
    except Exception:  # noqa: BLE001 - `__str__` is user code
        return ""


def _redact(value: object) -> object:
    return hide_secrets(value) if isinstance(value, str) else value


def _format_traceback(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    if record.exc_info:
        return hide_secrets(formatter.formatException(record.exc_info)).splitlines()
    # The exception of a record from a handler process is text already.
    return hide_secrets(record.exc_text or "").splitlines()
