"""Middleware for structured logging, exception capture and timeouts.

app.middleware(log_attempts)
app.middleware(capture_exceptions(sentry_sdk.capture_exception))
app.middleware(timeout(30))
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from jobistemer.core.checks import check_range
from jobistemer.core.errors import InvalidDefinition
from jobistemer.core.handlers.context import Context
from jobistemer.runtime.hooks import call_hooks

LONGEST_S = 366 * 86_400

log = logging.getLogger("jobistemer.attempts")


@contextmanager
def log_attempts(context: Context) -> Iterator[None]:
    """Log the beginning and the end of each attempt, with its run, task, number, duration in ms and exception."""
    facts: dict[str, Any] = {"run": context.run, "task": context.handler, "attempt": context.attempt}
    if context.job is not None:
        facts |= {"job": context.job, "occurrence": context.occurrence}
    log.info("attempt begins", extra={"facts": facts})
    started = time.monotonic()
    try:
        yield
    except BaseException as error:
        took_ms = round((time.monotonic() - started) * 1000, 1)
        log.warning("attempt fails", extra={"facts": {**facts, "took_ms": took_ms, "error": type(error).__name__}})
        raise
    took_ms = round((time.monotonic() - started) * 1000, 1)
    log.info("attempt ends", extra={"facts": {**facts, "took_ms": took_ms}})


def capture_exceptions(
    report: Callable[[BaseException], object],
) -> Callable[[Context], AbstractContextManager[None]]:
    """Pass each exception of a handler to `report`, such as a function of an error tracker, and raise it again."""

    @contextmanager
    def capture(context: Context) -> Iterator[None]:  # noqa: ARG001 - the signature of all middleware
        try:
            yield
        except Exception as error:
            # An error inside `report` is logged: it must not replace the handler's own error.
            call_hooks([report], error)
            raise

    return capture


def timeout(seconds: float) -> Callable[[Context], AbstractContextManager[None]]:
    """Stop attempts that take longer than `seconds`. The shorter one of this and the task's `timeout_s` counts.

    The watchdog of the worker stops them, as for `timeout_s`: coroutines, threads and processes alike.
    Raises InvalidDefinition for a number that is out of range.
    """
    check_range("timeout: seconds", seconds, 0.001, LONGEST_S, InvalidDefinition)

    @contextmanager
    def limit_time(context: Context) -> Iterator[None]:
        context.tools.set_time_limit(seconds)
        yield

    return limit_time
