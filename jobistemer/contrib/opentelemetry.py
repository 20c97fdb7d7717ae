"""OpenTelemetry: one trace from the call that enqueues a run over its wait to each of its attempts.

    pip install 'jobistemer[opentelemetry]'

    from jobistemer.contrib import opentelemetry

    opentelemetry.install(app)

Attributes are those of the semantic conventions for messaging; what they have no word for begins with `jobistemer.`.
Only the API is used: what becomes of the spans is said where the application sets up its SDK.
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
"""Longer headers, which baggage may be, do not travel."""


class TracedApp(Protocol):
    """An app, as far as its traces are concerned."""

    hooks: Hooks
    middleware: MiddlewareChain

    def jobs(self) -> list[Job]:
        """The jobs it has declared."""
        ...


def install(app: TracedApp, tracer_provider: trace.TracerProvider | None = None) -> None:
    """Trace what an app enqueues and what its workers run. tracer_provider: by default the global one.

    Middleware that was added before stays outside of the spans.
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
                span.set_attributes(_messaging_attributes("send", message.handler, message.queue, message.run))
                headers: dict[str, str] = {}
                propagate.inject(headers)
                return {name: value for name, value in headers.items() if len(value) <= MAX_HEADER}

            yield stamp

    return trace_enqueue


def _trace_attempts(tracer: Tracer, app: TracedApp) -> Callable[[Context], AbstractContextManager[None]]:
    # Asked for with the first attempt, when all of them are declared.
    jobs = cache(lambda: {job.id: job for job in app.jobs()})

    @contextmanager
    def trace_attempt(context: Context) -> Iterator[None]:
        parent = _parent_context(context)
        if context.attempt == 0:
            _record_wait(tracer, context, parent, jobs().get(context.job or ""))
        name, attributes = f"process {context.handler}", _attempt_attributes(context)
        links = [Link(linked)] if context.headers and (linked := _span_context(parent)).is_valid else []
        with tracer.start_as_current_span(
            name, parent, SpanKind.CONSUMER, attributes, links, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except BaseException as error:
                # Being stopped, for its time is over or its run was cancelled, is no `Exception`.
                span.record_exception(error)
                span.set_attribute("error.type", type(error).__qualname__)
                span.set_status(StatusCode.ERROR, type(error).__qualname__)
                raise

    return trace_attempt


def _parent_context(context: Context) -> contexts.Context:
    """What a run goes back to: the call that enqueued it, or the occurrence that it belongs to."""
    found = propagate.extract(context.headers, contexts.Context())
    occurrence = context.occurrence or _completed_occurrence(context)
    if _span_context(found).is_valid or not occurrence:
        return found
    # Tickers know no traces, and any worker may run what belongs together: all of them compute the same one.
    return trace.set_span_in_context(NonRecordingSpan(_root_span(occurrence)), found)


def _completed_occurrence(context: Context) -> str:
    """The occurrence whose end a run of `on_complete` is told of; empty for all other runs."""
    about = context.metadata.get("occurrence", "")
    return about if about and context.run == ids.completion_run_id(about) else ""


def _root_span(occurrence: str) -> SpanContext:
    span = int.from_bytes(sha256(occurrence.encode()).digest()[:8], "big")
    trace_id = UUID(occurrence.partition("_")[2]).int
    return SpanContext(trace_id, span or 1, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _record_wait(tracer: Tracer, context: Context, parent: contexts.Context, job: Job | None) -> None:
    """A span for the time before the first attempt: of an enqueued run, or of an occurrence since it was due."""
    if context.job is None:
        name, attributes = f"wait {context.handler}", _attempt_attributes(context)
    elif _begins_occurrence(context, job):
        job_name = context.job if job is None else job.name
        name, attributes = (
            f"occurrence {job_name}",
            {"jobistemer.job.name": job_name, **_occurrence_attributes(context)},
        )
    else:
        # It waited for other tasks, and when these released it is not told.
        return
    # The due instant is server time, spans are this machine's; the difference of two times of one clock is neither's.
    waited_ns = max(0, round((context.started_at - context.due_at).total_seconds() * 1e9))
    now_ns = time.time_ns()
    tracer.start_span(name, parent, attributes=attributes, start_time=now_ns - waited_ns).end(now_ns)


def _begins_occurrence(context: Context, job: Job | None) -> bool:
    if job is not None and len(job.tasks) == 1 and context.handler == job.tasks[0].handler:
        return True
    return context.tools.is_first_of_occurrence()


def _attempt_attributes(context: Context) -> dict[str, Any]:
    attributes = _messaging_attributes("process", context.handler, context.queue, context.run)
    attributes |= {"jobistemer.attempt.id": context.attempt_id, "jobistemer.attempt.number": context.attempt}
    return attributes if context.job is None else {**attributes, **_occurrence_attributes(context)}


def _occurrence_attributes(context: Context) -> dict[str, Any]:
    return {
        "jobistemer.job.id": context.job or "",
        "jobistemer.occurrence.id": context.occurrence or "",
        "jobistemer.due_at": context.due_at.isoformat(),
    }


def _messaging_attributes(operation: str, task: str, queue: str, run: str) -> dict[str, Any]:
    return {
        "messaging.system": SYSTEM,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": queue,
        "messaging.message.id": run,
        "jobistemer.task": task,
    }


def _span_context(context: contexts.Context) -> SpanContext:
    return trace.get_current_span(context).get_span_context()
