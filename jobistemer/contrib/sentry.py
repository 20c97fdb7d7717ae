"""Sentry: reports the exceptions of handlers, each with its run.

    pip install 'jobistemer[sentry]'

    from jobistemer.contrib import sentry

    sentry_sdk.init(…)
    sentry.install(app)

Each attempt has a scope of its own: a user or a tag that a handler adds is not seen by other attempts. `Retry` is not
reported, since a handler raises it on purpose, to ask for another attempt. The package sends no payload: the local
variables of its own frames are taken out of each event. Sentry shows those of a handler, and so its arguments, unless
it is initialised with `include_local_variables=False`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import sentry_sdk

from jobistemer.core.handlers.context import Context
from jobistemer.core.handlers.control_errors import Retry
from jobistemer.core.handlers.hooks import MiddlewareChain


class MonitoredApp(Protocol):
    """An app that takes middleware."""

    middleware: MiddlewareChain


def install(app: MonitoredApp) -> None:
    """Report the exceptions that handlers of an app raise."""
    app.middleware(_report_exceptions)


@contextmanager
def _report_exceptions(context: Context) -> Iterator[None]:
    with sentry_sdk.isolation_scope() as scope:
        scope.clear_breadcrumbs()
        scope.set_transaction_name(context.handler, source="task")
        scope.set_tag("jobistemer.task", context.handler)
        scope.set_tag("jobistemer.queue", context.queue)
        scope.set_context("jobistemer", _describe_run(context))
        scope.add_event_processor(_remove_own_variables)
        try:
            yield
        except Retry:
            raise
        except Exception as error:
            scope.capture_exception(error)
            raise


def _remove_own_variables(event: Any, _hint: Any) -> Any:
    """Take the local variables out of the frames of this package, where the payload stands under other names."""
    found = (each for kind in ("exception", "threads") for each in (event.get(kind) or {}).get("values") or ())
    for frame in (frame for each in found for frame in (each.get("stacktrace") or {}).get("frames") or ()):
        if str(frame.get("module")).partition(".")[0] == "jobistemer":
            frame.pop("vars", None)
    return event


def _describe_run(context: Context) -> dict[str, object]:
    description: dict[str, object] = {
        "run": context.run,
        "attempt": context.attempt,
        "due_at": context.due_at.isoformat(),
    }
    return description if context.job is None else {**description, "job": context.job, "occurrence": context.occurrence}
