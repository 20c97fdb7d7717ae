"""Middleware that most applications want: structured logging, exception capture, timeout.

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
    """Log how each attempt begins and ends, with its run, task, attempt, duration and exception as facts."""
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
    """Hand each exception of a handler to `report`, such as that of an error tracker; it is raised on all the same."""

    @contextmanager
    def capture(context: Context) -> Iterator[None]:  # noqa: ARG001 - the form of all middleware
        try:
            yield
        except Exception as error:
            call_hooks([report], error)
            raise

    return capture


def timeout(seconds: float) -> Callable[[Context], AbstractContextManager[None]]:
    """Stop attempts that take longer than so many seconds, whatever a task's own `timeout_s` says beyond that.

    The worker's watch does it, as for `timeout_s`, so that it works for coroutines, threads and processes alike.
    """
    check_range("timeout: seconds", seconds, 0.001, LONGEST_S, InvalidDefinition)

    @contextmanager
    def limit_time(context: Context) -> Iterator[None]:
        context.tools.set_time_limit(seconds)
        yield

    return limit_time
