"""Handlers: typed payloads, refused where they do not fit, with words that say where."""

from __future__ import annotations

import inspect
from datetime import datetime

import msgspec
import pytest

from jobistemer.core.errors import InvalidDefinition, InvalidName, InvalidPayload, PayloadTooLarge
from jobistemer.core.handlers.context import Context
from jobistemer.core.handlers.handler import MAX_PAYLOAD_BYTES, Handler, encode_payload
from jobistemer.core.handlers.result_codec import encode_result
from jobistemer.core.jobs.options import Options


class Address(msgspec.Struct):
    street: str
    number: int


def send(to: Address, at: datetime, copies: int = 1) -> list[Address]:
    return [to] * copies


def handler(function=send, name="send"):
    return Handler(name, function, Options())


def test_a_call_becomes_a_payload_and_arguments_again():
    at = datetime.fromisoformat("2027-01-15T08:00:00+00:00")
    payload = handler().encode((Address("Elm", 5), at), {"copies": 2})
    assert bytes(payload) == b'{"to":{"street":"Elm","number":5},"at":"2027-01-15T08:00:00Z","copies":2}'
    assert handler().decode(payload) == {"to": Address("Elm", 5), "at": at, "copies": 2}


def test_defaults_are_filled_in_where_it_runs():
    payload = msgspec.Raw(b'{"to":{"street":"Elm","number":5},"at":"2027-01-15T08:00:00Z"}')
    assert handler().decode(payload)["copies"] == 1


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b'{"to":{"street":"Elm"},"at":"2027-01-15T08:00:00Z"}', "missing required field `number` - at `$.to`"),
        (b'{"to":{"street":"Elm","number":"5"},"at":"x"}', "Expected `int`, got `str` - at `$.to.number`"),
        (b'{"to":{"street":"Elm","number":5},"at":"soon"}', "Invalid RFC3339 encoded datetime - at `$.at`"),
        (b'{"too":1}', "unknown field `too`"),
        (b"[1,2]", "Expected `object`, got `array`"),
        (b"{", "Input data was truncated"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_path_of_the_field(payload, words):
    with pytest.raises(InvalidPayload, match="payload of task 'send' does not fit") as refused:
        handler().decode(msgspec.Raw(payload))
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((), {}, "missing a required argument: 'to'"),
        ((1, 2, 3, 4), {}, "too many positional arguments"),
        ((), {"size": 1}, "unexpected keyword argument 'size'|missing a required argument"),
    ],
)
def test_a_call_that_python_would_refuse_is_refused_when_it_is_enqueued(args, kwargs, words):
    with pytest.raises(InvalidPayload, match=words):
        handler().encode(args, kwargs)


def test_a_wrong_type_is_refused_when_it_is_enqueued():
    with pytest.raises(InvalidPayload, match=r"at `\$.to`"):
        handler().encode(("Elm 5", datetime.now()), {})


def test_a_task_without_parameters_takes_no_payload():
    def nothing() -> None: ...

    assert handler(nothing).decode(msgspec.Raw(b"{}")) == {}
    with pytest.raises(InvalidPayload, match="takes no arguments"):
        handler(nothing).decode(msgspec.Raw(b'{"a":1}'))


def test_the_context_is_not_the_callers_to_give():
    def curious(text: str, context: Context) -> None: ...

    declared = handler(curious)
    assert declared.context_parameter == "context"
    assert bytes(declared.encode(("x",), {})) == b'{"text":"x"}'
    with pytest.raises(InvalidPayload, match="context"):
        declared.encode(("x",), {"context": 1})


def test_a_default_that_can_change_is_not_shared_between_calls():
    def collects(found: list = []) -> None: ...  # noqa: B006

    assert handler(collects).decode(msgspec.Raw(b"{}")) == {"found": []}


@pytest.mark.parametrize("function", [lambda *args: None, lambda **kwargs: None, lambda a, /: None])
def test_parameters_that_have_no_name_are_refused_when_the_task_is_declared(function):
    with pytest.raises(InvalidDefinition, match="cannot be given by name"):
        handler(function)


def test_types_that_are_no_json_are_refused_when_the_task_is_declared():
    def strange(either: Address | dict) -> None: ...

    with pytest.raises(InvalidDefinition, match="cannot be read from JSON"):
        handler(strange)


def test_a_name_that_may_not_enter_a_key_is_refused():
    with pytest.raises(InvalidName, match="handler name 'a:b' is not allowed"):
        handler(name="a:b")


def test_a_payload_has_a_limit_that_it_may_reach():
    longest = "x" * (MAX_PAYLOAD_BYTES - len(b'{"text":""}'))
    assert len(bytes(encode_payload("send", {"text": longest}))) == MAX_PAYLOAD_BYTES
    with pytest.raises(
        PayloadTooLarge, match=f"has {MAX_PAYLOAD_BYTES + 1} bytes, allowed are {MAX_PAYLOAD_BYTES}: store it"
    ):
        encode_payload("send", {"text": longest + "x"})


@pytest.mark.parametrize("arguments", [{"a": object()}, {"a": float}])
def test_what_is_no_json_is_refused_not_pickled(arguments):
    with pytest.raises(InvalidPayload, match="cannot be written as JSON"):
        encode_payload("send", arguments)


def test_a_payload_is_an_object_of_names():
    with pytest.raises(InvalidPayload, match="must be an object of keyword arguments"):
        encode_payload("send", [1, 2])


def test_results_are_typed():
    assert handler().decode_result(encode_result([Address("Elm", 5)])) == [Address("Elm", 5)]
    assert encode_result(None) == b""


def takes(one, two=2, *, three=3): ...


def takes_plain(one, two=2, three=3): ...


@pytest.mark.parametrize("function", [takes, takes_plain])
@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((1,), {}),
        ((1, 5), {}),
        ((), {"one": 1}),
        ((), {"three": 3, "two": 2, "one": 1}),
        ((1,), {"three": 4}),
        ((1, 2), {"three": 4}),
    ],
)
def test_arguments_are_bound_in_the_order_of_the_parameters_as_python_would(function, args, kwargs):
    bound = Handler("takes", function, Options()).bind(args, kwargs)
    assert list(bound.items()) == list(inspect.signature(function).bind(*args, **kwargs).arguments.items())


@pytest.mark.parametrize("function", [takes, takes_plain])
@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), ((1,), {"one": 1}), ((1, 2, 3, 4), {}), ((1,), {"four": 4}), ((), {"two": 2})]
)
def test_a_call_that_python_would_refuse_is_refused(function, args, kwargs):
    with pytest.raises(InvalidPayload, match="cannot be called so"):
        Handler("takes", function, Options()).bind(args, kwargs)
