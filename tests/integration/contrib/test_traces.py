"""Traces: one for a call, its wait and each attempt, and one for all tasks of an occurrence."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from jobistemer import Context, Delays
from jobistemer.contrib import opentelemetry
from jobistemer.core import ids
from jobistemer.core.errors import InvalidDefinition, InvalidInput, InvalidPayload
from jobistemer.core.runs.message import Message, decode_message
from tests.support.apps import drain_queues, empty_app, shard_of


@pytest.fixture
def app(server_url):
    return empty_app(server_url)


class Spans:
    """What was exported, by name."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def all(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (found,) = self.all(name)
        return found

    def names(self) -> list[str]:
        return sorted(span.name for span in self._exporter.get_finished_spans())


@pytest.fixture
def spans(app) -> Spans:
    found = Spans()
    opentelemetry.install(app, found.provider)
    return found


def parent_of(span: ReadableSpan) -> tuple[int, int] | None:
    return span.parent and (span.parent.trace_id, span.parent.span_id)


def identity(span: ReadableSpan) -> tuple[int, int]:
    return span.context.trace_id, span.context.span_id


def sent_messages(app) -> list[Message]:
    return [
        decode_message(fields[b"m"])
        for _, fields in shard_of(app).client.xrange(shard_of(app).keys.stream("default:5"))
    ]


@pytest.mark.parametrize("colour", ["thread", "coroutine"])
def test_a_trace_goes_from_the_call_over_the_wait_to_the_attempt(app, spans, colour):
    inside = []

    def body():
        inside.append(trace.get_current_span().get_span_context().span_id)

    async def body_async():
        body()

    task = app.task(name="mail.send")(body if colour == "thread" else body_async)
    run = task.enqueue()
    drain_queues(app)

    sent, waited, done = spans.one("send mail.send"), spans.one("wait mail.send"), spans.one("process mail.send")
    assert (sent.kind, waited.kind, done.kind) == (SpanKind.PRODUCER, SpanKind.INTERNAL, SpanKind.CONSUMER)
    assert parent_of(sent) is None
    assert parent_of(waited) == parent_of(done) == identity(sent)
    assert [identity(link) for link in done.links] == [identity(sent)]
    assert inside == [done.context.span_id]
    assert waited.start_time <= waited.end_time <= done.start_time
    shared = {
        "messaging.system": "jobistemer",
        "messaging.destination.name": "default",
        "messaging.message.id": run.id,
        "jobistemer.task": "mail.send",
    }
    assert dict(sent.attributes) == {**shared, "messaging.operation.name": "send", "messaging.operation.type": "send"}
    assert dict(done.attributes) == {
        **shared,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "jobistemer.attempt.id": ids.attempt_id(run.id, 0),
        "jobistemer.attempt.number": 0,
    }


def test_each_attempt_is_a_span_of_the_same_trace_and_says_what_went_wrong(app, spans):
    @app.task(retry=Delays((0,)))
    def flaky(ctx: Context) -> None:
        if ctx.attempt == 0:
            raise ValueError("not yet")

    flaky.enqueue()
    drain_queues(app)
    first, second = spans.all("process flaky")
    assert {each.context.trace_id for each in (first, second)} == {spans.one("send flaky").context.trace_id}
    assert [each.attributes["jobistemer.attempt.number"] for each in (first, second)] == [0, 1]
    assert (first.status.status_code, first.attributes["error.type"]) == (StatusCode.ERROR, "ValueError")
    (event,) = first.events
    assert (event.name, event.attributes["exception.message"]) == ("exception", "not yet")
    assert (second.status.status_code, second.events) == (StatusCode.UNSET, ())
    assert len(spans.all("wait flaky")) == 1


def test_what_a_handler_enqueues_and_maps_belongs_to_its_trace(app, spans):
    @app.task
    def leaf(n: int) -> None: ...

    @app.task
    def branch(ctx: Context) -> None:
        leaf.enqueue(1)
        ctx.transaction.enqueue(leaf.request(2))
        ctx.map(leaf, [3, 4])

    branch.enqueue()
    drain_queues(app)
    assert identity(spans.one("process branch")) in {parent_of(each) for each in spans.all("send leaf")}
    assert len(spans.all("process leaf")) == 4
    assert {each.context.trace_id for each in spans.all("process leaf")} == {spans.one("send branch").context.trace_id}


def test_of_many_calls_each_has_its_own_span(app, spans):
    app.task(name="leaf")(lambda: None)
    app.enqueue_many(app.request("leaf") for _ in range(3))
    asyncio.run(app.enqueue_async("leaf"))
    headers = [message.headers["traceparent"].split("-")[2] for message in sent_messages(app)]
    assert headers == [f"{span.context.span_id:016x}" for span in spans.all("send leaf")]


def test_a_call_that_is_refused_has_a_span_that_says_so(app, spans):
    @app.task
    def leaf(n: int) -> None: ...

    with pytest.raises(InvalidPayload):
        app.enqueue("leaf", {"n": "many"})
    (refused,) = spans.all("send")
    assert refused.status.status_code is StatusCode.ERROR
    assert refused.events[0].attributes["exception.type"].endswith("InvalidPayload")


def test_all_of_an_occurrence_is_one_trace_whoever_runs_it(app, spans):
    nightly = app.job("0 2 * * *", name="nightly")

    @nightly.task
    def extract() -> None: ...

    @nightly.task(after=[extract])
    def load() -> None: ...

    @nightly.on_complete
    def told() -> None: ...

    app.deploy()
    occurrence, _ = app.control.trigger("nightly")
    drain_queues(app)
    assert spans.names() == [
        "occurrence nightly",
        "process nightly.extract",
        "process nightly.load",
        "process nightly.on_complete",
        "wait nightly.on_complete",
    ]
    assert {span.context.trace_id for name in spans.names() for span in spans.all(name)} == {
        UUID(occurrence.removeprefix("occ_")).int
    }
    begun, first = spans.one("occurrence nightly"), spans.one("process nightly.extract")
    assert parent_of(begun) == parent_of(first) == parent_of(spans.one("process nightly.load"))
    assert begun.attributes["jobistemer.occurrence.id"] == occurrence
    assert begun.attributes["jobistemer.job.name"] == "nightly"
    assert begun.end_time <= first.start_time


def test_a_job_of_one_task_asks_the_server_nothing_for_its_trace(app, spans):
    @app.job("0 2 * * *", name="nightly")
    def nightly() -> None: ...

    app.deploy()
    occurrence, _ = app.control.trigger("nightly")
    drain_queues(app)
    assert spans.names() == ["occurrence nightly", "process nightly"]
    assert shard_of(app).ask("HEXISTS", shard_of(app).keys.occurrence(occurrence), "begun_by") == 0


def test_a_header_that_a_call_names_itself_goes_before_that_of_a_hook(app, spans):
    theirs = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    app.enqueue("leaf", headers={"traceparent": theirs, "user": "7"})
    (message,) = sent_messages(app)
    assert message.headers == {"traceparent": theirs, "user": "7"}


def test_without_an_sdk_messages_are_what_they_are_without_traces(app):
    opentelemetry.install(app)
    app.task(name="leaf")(lambda: None)
    run = app.enqueue("leaf")
    assert [message.headers for message in sent_messages(app)] == [{}]
    drain_queues(app)
    assert run.state() == "succeeded"


def test_a_hook_around_a_call_is_part_of_it(app):
    class TooMuch:
        def __enter__(self):
            return lambda message: {"long": message.handler * 10_000}

        def __exit__(self, *_):
            return False

    with pytest.raises(InvalidDefinition, match="cannot be middleware or a hook"):
        app.hooks.around_enqueue(7)
    app.hooks.around_enqueue(TooMuch)
    with pytest.raises(InvalidInput, match="headers has 40004 bytes"):
        app.enqueue("leaf")
    assert sent_messages(app) == []
