"""OpenTelemetry: one trace for the call that enqueues a run, its wait, and each of its attempts.

    pip install 'jobistemer[opentelemetry]'

    from jobistemer.contrib import opentelemetry

    opentelemetry.install(app)

Attributes follow the semantic conventions for messaging; further ones begin with `jobistemer.`. Only the API is used:
the application configures the SDK, and with it the export of the spans.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from hashlib import sha256
from typing import Any, Protocol
from uuid import UUID

from opentelemetry import context as contexts
from opentelemetry import propagate, trace
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags, Tracer

from jobistemer.core import ids
from jobistemer.core.handlers.context import Context
from jobistemer.core.handlers.hooks import HeaderSource, Hooks, MiddlewareChain
from jobistemer.core.jobs.job import Job
from jobistemer.core.runs.message import Message

SYSTEM = "jobistemer"
MAX_HEADER = 2_000
"""Longer headers, such as large baggage, are not sent along with a run."""


class TracedApp(Protocol):
    """An app that takes hooks and middleware, and lists its jobs."""

    hooks: Hooks
    middleware: MiddlewareChain

    def jobs(self) -> list[Job]:
        """Return the jobs that the app declares."""
        ...


def install(app: TracedApp, tracer_provider: trace.TracerProvider | None = None) -> None:
    """Trace the calls by which an app enqueues runs, and the attempts in its workers.

    tracer_provider: by default the global one. Middleware that was added before runs outside of the spans.
    """
    tracer = trace.get_tracer("jobistemer", tracer_provider=tracer_provider)
    app.hooks.around_enqueue(_trace_enqueue(tracer))
    app.middleware(_trace_attempts(tracer, app))


def _trace_enqueue(tracer: Tracer) -> Callable[[], AbstractContextManager[HeaderSource]]:
    @contextmanager
    def trace_enqueue() -> Iterator[HeaderSource]:
        with tracer.start_as_current_span("send", kind=SpanKind.PRODUCER) as span:

            def stamp(message: Message) -> Mapping[str, str]:
                span.update_name(f"send {message.handler}")
                span.set_attributes(_build_messaging_attributes("send", message.handler, message.queue, message.run))
                headers: dict[str, str] = {}
                propagate.inject(headers)
                return {name: value for name, value in headers.items() if len(value) <= MAX_HEADER}

            yield stamp

    return trace_enqueue


def _trace_attempts(tracer: Tracer, app: TracedApp) -> Callable[[Context], AbstractContextManager[None]]:
    # Listed with the first attempt: `install` may be called before the jobs are declared.
    jobs = cache(lambda: {job.id: job for job in app.jobs()})

    @contextmanager
    def trace_attempt(context: Context) -> Iterator[None]:
        parent = _find_parent_context(context)
        if context.attempt == 0:
            _record_wait(tracer, context, parent, jobs().get(context.job or ""))
        name, attributes = f"process {context.handler}", _build_attempt_attributes(context)
        links = [Link(linked)] if context.headers and (linked := _get_span_context(parent)).is_valid else []
        with tracer.start_as_current_span(
            name, parent, SpanKind.CONSUMER, attributes, links, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except BaseException as error:
                # Not `Exception`: a timeout or a cancel stops a handler by a BaseException.
                span.record_exception(error)
                span.set_attribute("error.type", type(error).__qualname__)
                span.set_status(StatusCode.ERROR, type(error).__qualname__)
                raise

    return trace_attempt


def _find_parent_context(context: Context) -> contexts.Context:
    """Return the parent of an attempt: the call that enqueued its run, or the span of its occurrence."""
    extracted = propagate.extract(context.headers, contexts.Context())
    occurrence = context.occurrence or _find_completed_occurrence(context)
    if _get_span_context(extracted).is_valid or not occurrence:
        return extracted
    # Tickers do not trace, and the tasks of an occurrence run on any worker. So that all of them report to one trace
    # without talking to each other, its ids are computed from the id of the occurrence.
    return trace.set_span_in_context(NonRecordingSpan(_compute_root_span(occurrence)), extracted)


def _find_completed_occurrence(context: Context) -> str:
    """Return the occurrence whose end caused a run of `on_complete`; empty for all other runs."""
    occurrence = context.metadata.get("occurrence", "")
    # Anybody may set metadata of this name, so the id of the run has to agree.
    return occurrence if occurrence and context.run == ids.completion_run_id(occurrence) else ""


def _compute_root_span(occurrence: str) -> SpanContext:
    span_id = int.from_bytes(sha256(occurrence.encode()).digest()[:8], "big")
    trace_id = UUID(occurrence.partition("_")[2]).int
    # 0 is no valid id of a span.
    return SpanContext(trace_id, span_id or 1, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _record_wait(tracer: Tracer, context: Context, parent: contexts.Context, job: Job | None) -> None:
    """Record a span for the time before the first attempt: of an enqueued run, or of an occurrence since it was due."""
    if context.job is None:
        name, attributes = f"wait {context.handler}", _build_attempt_attributes(context)
    elif _begins_occurrence(context, job):
        job_name = context.job if job is None else job.name
        name, attributes = (
            f"occurrence {job_name}",
            {"jobistemer.job.name": job_name, **_build_occurrence_attributes(context)},
        )
    else:
        # It waited for other tasks of its occurrence, and the instant at which they released it is not recorded.
        return
    # The due instant is a time of the server, spans have times of this machine. Both instants of this difference are
    # of the server, so that clocks that disagree do not falsify the length of the span.
    waited_ns = max(0, round((context.started_at - context.due_at).total_seconds() * 1e9))
    now_ns = time.time_ns()
    tracer.start_span(name, parent, attributes=attributes, start_time=now_ns - waited_ns).end(now_ns)


def _begins_occurrence(context: Context, job: Job | None) -> bool:
    if job is not None and len(job.tasks) == 1 and context.handler == job.tasks[0].handler:
        return True
    return context.tools.is_first_of_occurrence()


def _build_attempt_attributes(context: Context) -> dict[str, Any]:
    attributes = _build_messaging_attributes("process", context.handler, context.queue, context.run)
    attributes |= {"jobistemer.attempt.id": context.attempt_id, "jobistemer.attempt.number": context.attempt}
    return attributes if context.job is None else {**attributes, **_build_occurrence_attributes(context)}


def _build_occurrence_attributes(context: Context) -> dict[str, Any]:
    return {
        "jobistemer.job.id": context.job or "",
        "jobistemer.occurrence.id": context.occurrence or "",
        "jobistemer.due_at": context.due_at.isoformat(),
    }


def _build_messaging_attributes(operation: str, task: str, queue: str, run: str) -> dict[str, Any]:
    return {
        "messaging.system": SYSTEM,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": queue,
        "messaging.message.id": run,
        "jobistemer.task": task,
    }


def _get_span_context(context: contexts.Context) -> SpanContext:
    return trace.get_current_span(context).get_span_context()
