"""When a call may start, and what may be enqueued at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jobistemer.app import Jobistemer
from jobistemer.app.request import Timing
from jobistemer.core.errors import InvalidDefinition, InvalidInput, InvalidName, InvalidPayload
from jobistemer.core.jobs.options import Options
from jobistemer.core.runs.message import encode_message
from tests.support.clocks import NOW

AT = datetime.fromtimestamp(NOW / 1000, UTC)


@pytest.mark.parametrize(
    ("timing", "due_at"),
    [
        (Timing(), 0),
        (Timing(delay=0), 0),
        (Timing(delay=1.5), NOW + 1500),
        (Timing(delay=timedelta(milliseconds=3)), NOW + 3),
        (Timing(at=AT + timedelta(hours=1)), NOW + 3_600_000),
        (Timing(at=AT), 0),
        (Timing(at=AT - timedelta(days=1)), 0),
    ],
)
def test_when_a_call_may_start(timing, due_at):
    assert timing.due_at(NOW) == due_at


@pytest.mark.parametrize(
    ("timing", "words"),
    [
        ({"delay": 1, "at": AT}, "give one of them"),
        ({"at": AT.replace(tzinfo=None)}, "which has no time zone; write datetime"),
        ({"delay": -1}, "delay is -1, allowed are 0 and more seconds"),
        ({"delay": timedelta(seconds=-1)}, "allowed are 0 and more seconds"),
    ],
)
def test_a_time_that_cannot_be_is_refused_with_its_value(timing, words):
    with pytest.raises(InvalidInput, match=words):
        Timing(**timing)


@pytest.fixture
def app():
    app = Jobistemer("fake://producer", defaults=Options(queue="slow"))

    @app.task(priority=7)
    def greet(name: str) -> None: ...

    app.greet = greet
    return app


def prepared(app, *args, **call):
    message, _ = app.producer.prepare(app.request(*args, **call))
    return message


def test_options_cascade_from_the_app_to_the_call(app):
    message = prepared(app, "greet", {"name": "you"}, timeout_s=2)
    assert (message.queue, message.priority, message.timeout_ms) == ("slow", 7, 2000)


def test_each_call_is_a_run_of_its_own(app):
    request = app.request("greet", {"name": "you"})
    assert app.producer.prepare(request)[0].run != app.producer.prepare(request)[0].run


def test_a_task_that_is_not_known_here_is_enqueued_unchecked(app):
    assert bytes(prepared(app, "elsewhere", {"any": 1}).payload) == b'{"any":1}'


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ((["greet", {"name": 5}], {}), InvalidPayload),
        ((["greet", {}], {}), InvalidPayload),
        ((["gre:et", {}], {}), InvalidName),
        ((["greet", {"name": "x"}], {"priority": 10}), InvalidDefinition),
        ((["greet", {"name": "x"}], {"queue": "a b"}), InvalidName),
        ((["greet", {"name": "x"}], {"timeout_s": 0}), InvalidDefinition),
    ],
)
def test_what_cannot_be_enqueued_is_refused_before_anything_is_sent(app, call, error):
    args, options = call
    with pytest.raises(error):
        app.enqueue(*args, **options)
    assert app.namespace.shards[0].client.keys("*stream*") == []


def test_a_unique_key_enters_no_redis_key_as_it_is(app):
    message = prepared(app, "greet", {"name": "x"}, unique="customer {5}:*")
    assert message.unique.startswith("greet:")
    assert "{" not in message.unique


def test_a_typed_call_is_checked_like_one_by_name(app):
    with pytest.raises(InvalidPayload, match=r"Expected `str`, got `int` - at `\$.name`"):
        app.greet.enqueue(5)
    with pytest.raises(InvalidPayload, match="missing a required argument: 'name'"):
        app.greet.enqueue()


def test_a_call_without_arguments_carries_no_payload_on_the_wire():
    app = Jobistemer("fake://producer-small")

    @app.task
    def plain() -> None: ...

    message, _ = app.producer.prepare(plain.request())
    assert b"payload" not in encode_message(message)
    message, _ = app.producer.prepare(app.request("unknown"))
    assert b"payload" not in encode_message(message)
