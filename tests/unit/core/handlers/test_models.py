"""Models of pydantic as parameters and results: what comes out equals what went in, or it is refused where it goes in."""

from __future__ import annotations

import subprocess
import sys
import zoneinfo
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import attrs
import msgspec
import pydantic
import pydantic.v1
import pytest
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, PrivateAttr, RootModel, SecretStr, field_validator

from jobistemer.core.errors import InvalidDefinition, InvalidPayload
from jobistemer.core.handlers.handler import Handler, encode_payload
from jobistemer.core.jobs.options import Options


class Colour(Enum):
    RED = "red"


class Line(BaseModel):
    product: str
    price: Decimal = Decimal(0)


class Order(BaseModel):
    number: int
    lines: list[Line] = []
    at: datetime | None = None
    wait: timedelta | None = None
    colour: Colour = Colour.RED
    key: UUID = UUID(int=7)
    raw: bytes = b""


class Aliased(BaseModel):
    number: int = Field(validation_alias="in", serialization_alias="out")


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    at: datetime
    size: Decimal


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    tricks: list[str]


class Puppy(Dog):
    age: int


class Twin(BaseModel):
    lives: int
    kind: str = "cat"


class Noted(BaseModel):
    number: int
    _made: object = PrivateAttr(default_factory=object)

    @pydantic.computed_field
    def double(self) -> int:
        return 2 * self.number


class Picky(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def look_up(cls, name: str) -> str:
        return {"tea": "tea"}[name]


class Free(BaseModel):
    model_config = ConfigDict(extra="allow")
    value: Any = None
    ratio: float | None = None
    password: SecretStr = SecretStr("")
    token: str = Field(default="", exclude=True)


@pydantic.dataclasses.dataclass
class Box:
    size: int = Field(gt=0)


@dataclass
class Parcel:
    box: Box
    order: Order


class Pair(NamedTuple):
    first: Cat
    second: int


class Row(TypedDict):
    cat: Cat


class Held(msgspec.Struct):
    cat: Cat | None
    strict: list[Strict] = []


@attrs.define
class Kept:
    cat: Cat


class Ambiguous(msgspec.Struct):
    pet: Cat | Dog


class Unreadable(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    lock: Handler


AT = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
FULL = Order(
    number=1, lines=[Line(product="tea", price=Decimal("4.20"))], at=AT, wait=timedelta(seconds=1.5), raw=b"abc"
)
THERE_AND_BACK = [
    (Order, FULL),
    (Aliased, Aliased(**{"in": 3})),
    (Strict, Strict(at=AT, size=Decimal("1.5"))),
    (Noted, Noted(number=2)),
    (Box, Box(3)),
    (Parcel, Parcel(Box(3), FULL)),
    (Pair, Pair(Cat(lives=9), 1)),
    (Row, {"cat": Cat(lives=9)}),
    (Held, Held(Cat(lives=9), [Strict(at=AT, size=Decimal(1))])),
    (Held, Held(None)),
    (list[Held], [Held(Cat(lives=9))]),
    (Kept, Kept(Cat(lives=9))),
    (list[Order], [FULL, Order(number=2)]),
    (dict[str, Order], {"a": FULL}),
    (dict[int, Cat], {3: Cat(lives=9)}),
    (tuple[Cat, bytes, timedelta], (Cat(lives=9), b"x", timedelta(days=1))),
    (Cat | Dog, Dog(tricks=["sit"])),
    (Cat | int | None, 3),
    (Cat | int | None, None),
    (Annotated[Cat | Dog, Field(discriminator="kind")], Cat(lives=3)),
    (list[Cat | Dog], [Cat(lives=3), Dog(tricks=[])]),
    (RootModel[list[int]], RootModel[list[int]]([1, 2])),
    (Annotated[int, Field(gt=3)], 4),
    (Free, Free(value=[1, {"a": None}], more="text")),
    (Order, Order(number=2**70)),
]


def str_of(each: Any) -> str:
    """A name without the address of an object."""
    return getattr(each, "__name__", None) or (str(each)[:40] if " at 0x" not in str(each) else type(each).__name__)


def takes(annotation: Any) -> Handler:
    def handle(value):
        return value

    handle.__annotations__ = {"value": annotation, "return": annotation}
    return Handler("task", handle, Options())


@pytest.mark.parametrize(("annotation", "value"), THERE_AND_BACK, ids=str_of)
def test_a_model_comes_back_as_it_was_given_as_a_parameter_and_as_a_result(annotation, value):
    handler = takes(annotation)
    found = handler.decode(handler.encode((value,), {}))["value"]
    assert found == value or isinstance(value, Noted)
    assert type(found) is type(value)
    back = handler.decode_result(handler.encode_result(value) or b"null")
    assert back == value or isinstance(value, Noted)


def test_private_attributes_and_computed_fields_are_no_part_of_a_model():
    assert bytes(takes(Noted).encode((Noted(number=2),), {})) == b'{"value":{"number":2}}'


def test_a_mapping_may_stand_for_a_model_and_aliases_are_read_too():
    handler = takes(Order)
    assert handler.decode(handler.encode(({"number": "3"},), {}))["value"] == Order(number=3)
    assert takes(Aliased).decode(msgspec.Raw(b'{"value":{"in":4}}'))["value"].number == 4


def test_a_default_stays_the_object_that_it_is():
    default = Cat(lives=1)

    def handle(cat: Cat = default) -> None: ...

    handler = Handler("task", handle, Options())
    assert handler.decode(handler.encode((), {}))["cat"] is default


CHANGED = [
    (Dog, Puppy(tricks=[], age=1), "$.value"),
    (Cat | Twin, Twin(lives=1), "$.value"),
    (list[Dog], [Puppy(tricks=[], age=1)], "$.value[0]"),
    (Free, Free(value=AT), "$.value.value"),
    (Free, Free(value={"a": (1, 2)}), "$.value.value['a']"),
    (Free, Free(password=SecretStr("x")), "$.value.password"),
    (Free, Free(token="x"), "$.value.token"),
    (Free, Free(at=AT), "$.value.at"),
    (dict[str, Free], {"a": Free(value={1})}, "$.value['a'].value"),
]


@pytest.mark.parametrize(("annotation", "value", "place"), CHANGED, ids=str_of)
def test_a_model_that_would_come_back_changed_is_refused_with_the_path(annotation, value, place):
    handler = takes(annotation)
    with pytest.raises(InvalidPayload) as refused:
        handler.encode((value,), {})
    assert f"would not come back as it is: `{place}` " in str(refused.value)
    with pytest.raises(InvalidPayload, match="the result would not come back"):
        handler.encode_result(value)


UNFIT = [
    (Order, {"number": "x"}, "at `$.value.number`"),
    (Order, {"number": 1, "lines": [{}]}, "Field required - at `$.value.lines[0].product`"),
    (Order, {}, "Field required - at `$.value.number`"),
    (Annotated[int, Field(gt=3)], 3, "greater than 3 - at `$.value`"),
    (PositiveInt, -1, "greater than 0 - at `$.value`"),
    (Box, {"size": -1}, "greater than 0 - at `$.value.size`"),
    (Held, {"cat": {"lives": "x"}}, "valid integer"),
    (Picky, {"name": "coal"}, "a validator raised KeyError: 'coal'"),
    (Free, Free(ratio=float("inf")), "the number inf, which JSON cannot say"),
    (Order, Order(number=1, raw=b"\xff"), "cannot be written as JSON: `$.value`"),
    (Cat, object(), "cannot be written as JSON"),
]


@pytest.mark.parametrize(("annotation", "value", "words"), UNFIT, ids=str_of)
def test_a_value_that_does_not_fit_is_refused_with_its_path(annotation, value, words):
    with pytest.raises(InvalidPayload) as refused:
        takes(annotation).encode((value,), {})
    assert words in str(refused.value)


def test_of_many_faults_the_first_three_are_named():
    with pytest.raises(InvalidPayload, match=r"at `\$\.value\[2\]\.lives`; and 7 more$"):
        takes(list[Cat]).encode(([{}] * 10,), {})


REFUSED = [
    (Unreadable, "pydantic cannot read"),
    (Ambiguous, "pydantic cannot read"),
    (list[Cat | Handler], "pydantic cannot read"),
    (pydantic.v1.BaseModel, "has no form in JSON"),
    (Handler, "core.handlers.handler.Handler has no form in JSON"),
    (Path, "has no form in JSON"),
    (list[zoneinfo.ZoneInfo], "has no form in JSON"),
]


@pytest.mark.parametrize(("annotation", "words"), REFUSED, ids=str_of)
def test_an_annotation_that_nobody_can_read_is_refused_where_the_task_is_declared(annotation, words):
    with pytest.raises(InvalidDefinition) as refused:
        takes(annotation)
    assert words in str(refused.value)


@pytest.mark.parametrize("annotation", [object, list[object], Iterable[int], Sequence[int]], ids=str)
def test_an_abstract_class_may_stand_for_what_json_gives(annotation):
    handler = takes(annotation)
    assert handler.decode(handler.encode(([1, 2],), {}))["value"] == [1, 2]


def test_a_producer_without_the_code_sends_models_as_well():
    encoded = encode_payload("task", {"value": FULL, "more": [Cat(lives=1)]})
    assert takes_more().decode(encoded) == {"value": FULL, "more": [Cat(lives=1)]}
    with pytest.raises(InvalidPayload, match="the number nan"):
        encode_payload("task", {"value": Free(ratio=float("nan"))})
    with pytest.raises(InvalidPayload, match=r"Handler is unsupported"):
        encode_payload("task", {"value": takes(int)})


def takes_more() -> Handler:
    def handle(value: Order, more: list[Cat]) -> None: ...

    handle.__annotations__ = {"value": Order, "more": list[Cat]}
    return Handler("task", handle, Options())


def test_pydantic_is_not_imported_unless_the_application_has():
    story = (
        "import sys; from jobistemer import Jobistemer; app = Jobistemer('fake://no-models')\n"
        "@app.task\ndef add(a: int, b: list[int]) -> int: ...\n"
        "add.enqueue(1, [2]); app.enqueue('add', {'a': 1, 'b': []}); print('pydantic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", story], capture_output=True, text=True, check=True).stdout == "False\n"
