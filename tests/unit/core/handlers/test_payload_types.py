"""Payloads and results of every kind of type go there and back, and what does not fit is refused with its path."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Literal, NotRequired, TypedDict
from uuid import UUID

import msgspec
import pytest

from jobistemer import Jobistemer
from jobistemer.core.errors import InvalidDefinition, InvalidPayload, PayloadTooLarge
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.handlers.result_codec import encode_result
from jobistemer.core.jobs.options import Options
from jobistemer.core.sizes import Sizes


class Point(msgspec.Struct):
    x: int
    y: int = 0


@dataclass
class Address:
    street: str
    points: list[Point]


class Row(TypedDict):
    name: str
    size: NotRequired[int]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1


class Circle(msgspec.Struct, tag=True):
    r: float


class Square(msgspec.Struct, tag=True):
    side: float


AT = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
KINDS = [
    (Point, Point(1, 2), '{"x":"1"}', "Expected `int`, got `str` - at `$.value.x`"),
    (
        Address,
        Address("Elm", [Point(1)]),
        '{"street":"Elm","points":[{"y":1}]}',
        "missing required field `x` - at `$.value.points[0]`",
    ),
    (Row, {"name": "a", "size": 1}, '{"name":"a","size":"b"}', "Expected `int`, got `str` - at `$.value.size`"),
    (datetime, AT, '"yesterday"', "Invalid RFC3339 encoded datetime - at `$.value`"),
    (date, AT.date(), '"2026-02-30"', "Invalid RFC3339 encoded date - at `$.value`"),
    (timedelta, timedelta(hours=1, seconds=0.5), '"soon"', "Invalid ISO8601 duration - at `$.value`"),
    (Decimal, Decimal("1.10"), '"ten"', "Invalid decimal string - at `$.value`"),
    (UUID, UUID(int=7), '"7"', "Invalid UUID - at `$.value`"),
    (Colour, Colour.RED, '"green"', "Invalid enum value 'green' - at `$.value`"),
    (Level, Level.LOW, "2", "Invalid enum value 2 - at `$.value`"),
    (bytes, b"\x00\xff", '"?"', "Invalid base64 encoded string - at `$.value`"),
    (int | str | None, None, "1.5", "Expected `int | str | null`, got `float` - at `$.value`"),
    (Circle | Square, Square(2.0), '{"type":"Line"}', "Invalid value 'Line' - at `$.value.type`"),
    (
        dict[str, list[Colour]],
        {"a": [Colour.BLUE]},
        '{"a":["blue",7]}',
        "Expected `str`, got `int` - at `$.value[...][1]`",
    ),
    (tuple[int, str], (1, "a"), "[1]", "Expected `array` of length 2 - at `$.value`"),
    (set[int], {1, 2}, '["x"]', "Expected `int`, got `str` - at `$.value[0]`"),
    (Literal["a", "b"], "a", '"c"', "Invalid enum value 'c' - at `$.value`"),
    (Annotated[int, msgspec.Meta(ge=1)], 5, "0", "Expected `int` >= 1 - at `$.value`"),
]
each_kind = pytest.mark.parametrize(("kind", "value", "wrong", "message"), KINDS, ids=lambda each: str(each)[:40])


def handler_of(kind):
    def work(value): ...

    work.__annotations__ = {"value": kind, "return": kind}
    return Handler("work", work, Options())


@each_kind
def test_a_value_comes_out_as_it_was_put_in(kind, value, wrong, message):
    handler = handler_of(kind)
    assert handler.decode(handler.encode((value,), {})) == {"value": value}
    if value is not None:
        assert handler.decode_result(encode_result(value)) == value


@each_kind
def test_what_does_not_fit_is_refused_with_its_path_where_it_is_executed(kind, value, wrong, message):
    with pytest.raises(InvalidPayload) as caught:
        handler_of(kind).decode(msgspec.Raw(f'{{"value":{wrong}}}'.encode()))
    assert str(caught.value).startswith("payload of task 'work' does not fit: ")
    assert message in str(caught.value)


@each_kind
def test_what_does_not_fit_is_refused_with_its_path_where_it_is_enqueued(kind, value, wrong, message):
    with pytest.raises(InvalidPayload) as caught:
        handler_of(kind).encode((msgspec.json.decode(wrong),), {})
    assert message in str(caught.value)


def test_a_union_that_cannot_be_told_apart_is_refused_when_the_task_is_declared():
    class A(msgspec.Struct):
        x: int

    class B(msgspec.Struct):
        x: int

    with pytest.raises(InvalidDefinition, match="task 'work' has a parameter that cannot be read from JSON"):
        handler_of(A | B)


def test_an_app_sets_how_large_payloads_and_results_may_be():
    app = Jobistemer("fake://sizes", sizes=Sizes(payload_bytes=20, result_bytes=10))

    @app.task
    def work(text: str) -> None: ...

    work.request(text="x" * 9)
    with pytest.raises(
        PayloadTooLarge, match="payload of task 'work' has 21 bytes, allowed are 20: store it elsewhere"
    ):
        work.request(text="x" * 10)
    with pytest.raises(PayloadTooLarge, match="payload of task 'unknown' has 31 bytes, allowed are 20"):
        app.enqueue("unknown", {"text": "x" * 20})


@pytest.mark.parametrize("field", ["payload_bytes", "result_bytes"])
def test_sizes_that_cannot_be_are_refused_by_name(field):
    with pytest.raises(InvalidDefinition, match=f"{field} is 1, allowed is 2–"):
        Sizes(**{field: 1})
