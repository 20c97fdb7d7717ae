"""The logger of one run: what it logs goes to the process's log and into the record of the attempt."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, MutableMapping
from typing import Any

from jobistemer.core.messages import Delivery

log = logging.getLogger("jobistemer.run")


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose records carry the run, its task and attempt, and its job and occurrence where it has them."""

    def __init__(self, delivery: Delivery, note: Callable[[str, str], None]) -> None:
        message = delivery.message
        facts: dict[str, Any] = {"run": message.run, "task": message.handler, "attempt": delivery.attempt}
        if message.slot is not None:
            facts |= {"job": message.slot.job, "occurrence": message.slot.occurrence}
        super().__init__(log, facts)
        self._note = note

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log and store; debug is stored only where it is logged."""
        if level >= logging.INFO or self.isEnabledFor(level):
            self._note(worded(msg, args, kwargs.get("exc_info")), logging.getLevelName(level).lower())
        super().log(level, msg, *args, **kwargs)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Let each record carry the facts as one attribute, `facts`."""
        kwargs["extra"] = {**(kwargs.get("extra") or {}), "facts": self.extra}
        return msg, kwargs


class SendingLogger(logging.LoggerAdapter[logging.Logger]):
    """The logger of a run in a process beside the worker: each line goes to the worker, which logs and stores it."""

    def __init__(self, send: Callable[[str, int], object]) -> None:
        super().__init__(log, {})
        self._send = send

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Send it, with the trace of an exception as text."""
        self._send(worded(msg, args, kwargs.get("exc_info")), level)


def worded(msg: object, args: tuple[object, ...], exc_info: object) -> str:
    """One line of a log as text, with the trace of its exception."""
    return _text(msg, args) + _trace(exc_info)


def _text(msg: object, args: tuple[object, ...]) -> str:
    # A format that does not fit must not cost the attempt; the logging module is as lenient.
    try:
        return str(msg) % args if args else str(msg)
    except Exception as error:  # noqa: BLE001 - `__str__` and `__mod__` are user code and may raise anything
        return f"(a log line that cannot be formatted: {type(error).__name__}) {msg!r:.200} {args!r:.200}"


def _trace(exc_info: object) -> str:
    if not exc_info:
        return ""
    error = exc_info if isinstance(exc_info, BaseException) else sys.exc_info()[1]
    return "\n" + "".join(traceback.format_exception(error)) if error is not None else ""
