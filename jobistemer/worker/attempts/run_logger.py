"""The logger of one run: each line goes to the process's log and into the record of the attempt."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import msgspec

from jobistemer.core.runs.message import Delivery
from jobistemer.core.safe_text import hide_secrets
from jobistemer.runtime.logging import facts

log = logging.getLogger("jobistemer.run")


def log_facts(delivery: Delivery) -> dict[str, Any]:
    """Return the facts that a log line about an attempt carries beside its words."""
    message = delivery.message
    known: dict[str, Any] = {"run": message.run, "task": message.handler, "attempt": delivery.attempt}
    if message.task_ref is not None:
        known |= {"job": message.task_ref.job, "occurrence": message.task_ref.occurrence}
    return known


def log_extra(delivery: Delivery) -> dict[str, Any]:
    """Return the same facts as `extra` of a log line."""
    return facts(**log_facts(delivery))


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose records carry the run, its task and attempt, and its job and occurrence where it has them."""

    def __init__(self, delivery: Delivery, note: Callable[[str, str], None]) -> None:
        super().__init__(log, log_facts(delivery))
        self._note = note

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log and store a line; debug is stored only where it is logged."""
        if level >= logging.INFO or self.isEnabledFor(level):
            self._note(_text(msg, args) + _trace(kwargs.get("exc_info")), logging.getLevelName(level).lower())
        super().log(level, msg, *args, **kwargs)

    def log_forwarded(self, level: int, text: str, trace: str) -> None:
        """Log and store a line of a process beside this one; trace is that of an exception."""
        if level >= logging.INFO or self.isEnabledFor(level):
            self._note(f"{text}\n{trace}" if trace else text, logging.getLevelName(level).lower())
        relay(self.logger, level, text, trace, self.extra or {})

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Let each record carry the facts as one attribute, `facts`."""
        kwargs["extra"] = {**(kwargs.get("extra") or {}), "facts": self.extra}
        return msg, kwargs


class ForwardingLogger(logging.LoggerAdapter[logging.Logger]):
    """The logger of a run in a process beside the worker: each line goes to the worker, which logs and stores it."""

    def __init__(self, send: Callable[[str, int, str], object]) -> None:
        super().__init__(log, {})
        self._send = send

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Send text, level and the trace of an exception to the worker."""
        self._send(_text(msg, args), level, _trace(kwargs.get("exc_info")).lstrip("\n"))


class ForwardingHandler(logging.Handler):
    """The handler of all other loggers in such a process; `send` returns whether an attempt takes the line."""

    def __init__(self, send: Callable[[str, int, str, str, bytes], bool]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record; between two attempts it goes to standard error, as it would without any handler."""
        try:
            facts = msgspec.json.encode(getattr(record, "facts", {}), enc_hook=str)
            text = record.getMessage().encode("utf-8", "replace").decode()
            was_sent = self._send(record.name, record.levelno, text, _trace(record.exc_info).lstrip("\n"), facts)
        except Exception:  # noqa: BLE001 - a line that cannot be sent must not cost the attempt, as with any handler
            self.handleError(record)
        else:
            if not was_sent and logging.lastResort is not None and record.levelno >= logging.lastResort.level:
                logging.lastResort.handle(record)


def relay(logger: logging.Logger, level: int, text: str, trace: str, facts: Mapping[str, object]) -> None:
    """Log a line of a process beside this one."""
    if logger.isEnabledFor(level):
        fields = {"name": logger.name, "levelno": level, "levelname": logging.getLevelName(level)}
        logger.handle(
            logging.makeLogRecord({**fields, "msg": "%s", "args": (text,), "exc_text": trace or None, "facts": facts})
        )


def _text(msg: object, args: tuple[object, ...]) -> str:
    # A format that does not fit must not cost the attempt; the logging module is as lenient.
    try:
        return hide_secrets(str(msg) % args if args else str(msg))
    except Exception as error:  # noqa: BLE001 - `__str__` and `__mod__` are user code and may raise anything
        return f"(a log line that cannot be formatted: {type(error).__name__}) {msg!r:.200} {args!r:.200}"


def _trace(exc_info: object) -> str:
    if not exc_info:
        return ""
    error = exc_info if isinstance(exc_info, BaseException) else sys.exc_info()[1]
    return "\n" + hide_secrets("".join(traceback.format_exception(error))) if error is not None else ""
