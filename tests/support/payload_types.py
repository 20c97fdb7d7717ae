"""Types of payloads with values of each, and what becomes of them in each place: the rows of the reference's table."""

from __future__ import annotations

import array
import collections
import dataclasses
import enum
import fractions
import ipaddress
import pathlib
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from math import isnan
from typing import Annotated, Any, Literal, NamedTuple, NewType, TypedDict
from uuid import UUID
from zoneinfo import ZoneInfo

import attrs
import msgspec
import pydantic

from jobistemer.core.errors import InvalidDefinition, InvalidPayload
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.jobs.options import Options


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Size(enum.StrEnum):
    SMALL = "small"


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Line:
    product: str
    price: Decimal


@dataclasses.dataclass
class LongLine(Line):
    note: str = ""


class Parcel(pydantic.BaseModel):
    size: int
    at: datetime | None = None


class LongParcel(Parcel):
    note: str = ""


class Secret(pydantic.BaseModel):
    word: pydantic.SecretStr


class Private(Parcel):
    _made: int = pydantic.PrivateAttr(default=7)


@pydantic.dataclasses.dataclass
class Box:
    size: int


@dataclasses.dataclass(frozen=True)
class Key:
    number: int


class Point(msgspec.Struct):
    x: float
    y: float = 0.0


class Tagged(msgspec.Struct, tag="tagged", rename="camel"):
    first_name: str


class Pair(msgspec.Struct, array_like=True):
    left: int
    right: int


class Named(NamedTuple):
    first: int
    second: str


class Address(TypedDict):
    street: str


class OpenAddress(TypedDict, total=False):
    street: str


@attrs.define
class Attrs:
    number: int


class Own:
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own)

    __hash__ = None


class Text(str):
    __slots__ = ()


UserId = NewType("UserId", int)
BERLIN = ZoneInfo("Europe/Berlin")
AT = datetime(2026, 10, 25, 2, 30, 0, 123456)
ONE_ID = UUID("12345678-1234-5678-1234-567812345678")


class Row(NamedTuple):
    """One row: its words, an annotation, and a value that is given for it."""

    words: str
    annotation: Any
    value: Any


ROWS = [
    Row("`None`", type(None), None),
    Row("`bool`", bool, True),
    Row("`int`", int, 7),
    Row("`int`, 64 bits", int, 2**63 - 1),
    Row("`int`, 70 bits", int, 2**70),
    Row("`float`", float, 0.1),
    Row("`float`, `-0.0`", float, -0.0),
    Row("`float`, given an `int`", float, 3),
    Row("`float`, given an `int` that it cannot hold", float, 2**53 + 1),
    Row("`float`, NaN", float, float("nan")),
    Row("`float`, infinity", float, float("inf")),
    Row("`complex`", complex, 1j),
    Row("`str`", str, "tea ☕"),
    Row("`str` with NUL", str, "a\0b"),
    Row("`str`, half a surrogate pair", str, "\ud800"),
    Row("a subclass of `str`", str, Text("x")),
    Row("`bytes`", bytes, b"\x00\xff"),
    Row("`bytearray`", bytearray, bytearray(b"\x00\xff")),
    Row("`memoryview`", memoryview, memoryview(b"ab")),
    Row("`Decimal`", Decimal, Decimal("4.20")),
    Row("`Decimal`, NaN", Decimal, Decimal("NaN")),
    Row("`Decimal`, given a `float`", Decimal, 0.5),
    Row("`Fraction`", fractions.Fraction, fractions.Fraction(1, 3)),
    Row("`UUID`", UUID, ONE_ID),
    Row("`UUID`, given a text", UUID, str(ONE_ID)),
    Row("`date`", date, date(2026, 2, 28)),
    Row("`time`", time, time(12, 30, 0, 5)),
    Row("`time` in UTC", time, time(12, 30, tzinfo=UTC)),
    Row("`datetime` without a zone", datetime, AT),
    Row("`datetime` without a zone, `fold=1`", datetime, AT.replace(fold=1)),
    Row("`datetime` in UTC", datetime, AT.replace(tzinfo=UTC)),
    Row('`datetime` in `ZoneInfo("UTC")`', datetime, AT.replace(tzinfo=ZoneInfo("UTC"))),
    Row("`datetime` with an offset", datetime, AT.replace(tzinfo=timezone(timedelta(hours=5, minutes=30)))),
    Row("`datetime` with an offset in seconds", datetime, AT.replace(tzinfo=timezone(timedelta(seconds=17)))),
    Row("`datetime` in a zone", datetime, AT.replace(tzinfo=BERLIN)),
    Row("`datetime`, given a text", datetime, "2026-10-25T02:30:00Z"),
    Row("`timedelta`", timedelta, timedelta(days=-3, microseconds=7)),
    Row("`Enum`", Colour, Colour.RED),
    Row("`Enum`, given its value", Colour, "red"),
    Row("`IntEnum`", Level, Level.LOW),
    Row("`StrEnum`", Size, Size.SMALL),
    Row("`Flag`, one", Rights, Rights.READ),
    Row("`Flag`, several", Rights, Rights.READ | Rights.WRITE),
    Row("`int`, given an `IntEnum`", int, Level.LOW),
    Row("`Literal`", Literal["a", 1], "a"),
    Row("`NewType`", UserId, UserId(3)),
    Row("`list[int]`", list[int], [1, 2]),
    Row("`list[int]`, given a `tuple`", list[int], (1, 2)),
    Row("`Sequence[int]`", Sequence[int], [1, 2]),
    Row("`tuple[int, str]`", tuple[int, str], (1, "a")),
    Row("`tuple[int, ...]`", tuple[int, ...], (1, 2)),
    Row("`tuple[int, str]`, given a `list`", tuple[int, str], [1, "a"]),
    Row("`set[int]`", set[int], {1, 2}),
    Row("`frozenset[str]`", frozenset[str], frozenset({"a"})),
    Row("`collections.deque`", collections.deque, collections.deque([1])),
    Row("`array.array`", array.array, array.array("i", [1])),
    Row("`range`", range, range(3)),
    Row("`dict[str, int]`", dict[str, int], {"a": 1}),
    Row("`dict[int, str]`", dict[int, str], {1: "a"}),
    Row("`dict[UUID, int]`", dict[UUID, int], {ONE_ID: 1}),
    Row("`dict[date, int]`", dict[date, int], {date(2026, 1, 2): 1}),
    Row("`dict[datetime, int]` in a zone", dict[datetime, int], {AT.replace(tzinfo=BERLIN): 1}),
    Row("`dict[Colour, int]` by an `Enum`", dict[Colour, int], {Colour.RED: 1}),
    Row("`dict[tuple, int]`", dict[tuple[int, int], int], {(1, 2): 3}),
    Row("`Mapping[str, int]`", Mapping[str, int], {"a": 1}),
    Row("`OrderedDict` as a `dict`", dict[str, int], collections.OrderedDict(a=1)),
    Row("`MappingProxyType`", types.MappingProxyType, types.MappingProxyType({"a": 1})),
    Row("dataclass", Line, Line("tea", Decimal("4.20"))),
    Row("dataclass, frozen", Key, Key(7)),
    Row("dataclass, given an object of a subclass", Line, LongLine("tea", Decimal(1), "x")),
    Row("dataclass, given its JSON form", Line, {"product": "tea", "price": "4.20"}),
    Row("dataclass, given a key that it does not have", Line, {"product": "tea", "price": "4.20", "colour": "red"}),
    Row("`msgspec.Struct`", Point, Point(1.5)),
    Row("`msgspec.Struct` with a tag and other names", Tagged, Tagged("ada")),
    Row("`msgspec.Struct`, `array_like`", Pair, Pair(1, 2)),
    Row("attrs class", Attrs, Attrs(7)),
    Row("`NamedTuple`", Named, Named(1, "a")),
    Row("`TypedDict`", Address, {"street": "x"}),
    Row("`TypedDict`, given a key that it does not have", Address, {"street": "x", "number": 7}),
    Row("`TypedDict`, `total=False`", OpenAddress, {}),
    Row("`int | None`", int | None, None),
    Row("`int | str`", int | str, "7"),
    Row("`int | float`", int | float, 1.0),
    Row("`datetime | None`", datetime | None, AT),
    Row("`datetime | str`", datetime | str, "2026-10-25T02:30:00Z"),
    Row("`Line | None`", Line | None, Line("tea", Decimal(1))),
    Row("`Line | Point`", Line | Point, Point(1.0)),
    Row("model of pydantic", Parcel, Parcel(size=3, at=AT.replace(tzinfo=UTC))),
    Row("model with an instant in a zone", Parcel, Parcel(size=3, at=AT.replace(tzinfo=BERLIN))),
    Row("model, given its JSON form", Parcel, {"size": 3}),
    Row("model, given an object of a subclass", Parcel, LongParcel(size=3, note="x")),
    Row("model with a `SecretStr`", Secret, Secret(word="x")),
    Row("model with a private attribute", Private, Private(size=3)),
    Row("`Parcel | Secret | int`, models", Parcel | Secret | int, Parcel(size=3)),
    Row("dataclass of pydantic", Box, Box(3)),
    Row("`Annotated[int, Field(gt=0)]`", Annotated[int, pydantic.Field(gt=0)], 3),
    Row("`Annotated[int, Field(gt=0)]`, given another", Annotated[int, pydantic.Field(gt=0)], -3),
    Row("`ipaddress.IPv4Address`", ipaddress.IPv4Address, ipaddress.IPv4Address("10.0.0.1")),
    Row("`pathlib.Path`", pathlib.PurePosixPath, pathlib.PurePosixPath("/tmp")),
    Row("`re.Pattern`", re.Pattern, re.compile("a")),
    Row("a class of your own", Own, Own()),
    Row("`type`", type, int),
    Row("`object`", object, 7),
]  # fmt: skip


@dataclasses.dataclass
class Open:
    value: Any


PLACES = (
    "parameter",
    "result",
    "field",
    "list item",
    "dict value",
    "`Any` parameter",
    "`Any` result",
    "in an `Any` list",
)
"""Where a value stands; the columns of the table."""


def annotate(row: Row, place: str) -> tuple[Any, Any]:
    """The annotation and the value of a row in a place."""
    if "Any" in place:
        return Any, [row.value] if "list" in place else row.value
    if place == "field":
        holder = dataclasses.make_dataclass("Holder", [("value", row.annotation)])
        return holder, holder(row.value)
    if place == "list item":
        return list[row.annotation], [row.value]  # type: ignore[name-defined] - made at run time
    if place == "dict value":
        return dict[str, row.annotation], {"a": row.value}  # type: ignore[name-defined] - made at run time
    return row.annotation, row.value


def send(row: Row, place: str) -> tuple[str, Any, Any]:
    """Send a value through a place: the word for the table, what went in and what came out.

    Raises InvalidDefinition where a task refuses the annotation, InvalidPayload where a call or a return is refused.
    """
    annotation, value = annotate(row, place)

    def task(value):  # type: ignore[no-untyped-def] - annotated below
        return value

    task.__annotations__ = {"return": annotation} if "result" in place else {"value": annotation}
    handler = Handler("send", task, Options())
    if "result" in place:
        return "kept", value, handler.decode_result(handler.encode_result(value) or b"null")
    return "kept", value, handler.decode(handler.encode_arguments({"value": value}))["value"]


def outcome(row: Row, place: str) -> str:
    """The cell of the table."""
    try:
        _, given, found = send(row, place)
    except InvalidDefinition:
        return "not declared"
    except InvalidPayload:
        return "refused"
    return "kept" if is_kept(given, found) else "read as it"


def is_kept(given: Any, found: Any) -> bool:
    """Whether a value is the same as before, in all that Python can tell: its class, its zone, its parts."""
    if isinstance(given, float) and isnan(given):
        return isinstance(found, float) and isnan(found)
    if isinstance(given, Decimal) and given.is_nan():
        return isinstance(found, Decimal) and found.is_nan()
    if type(given) is not type(found):
        return False
    if isinstance(given, dict):
        return len(given) == len(found) and all(map(is_kept, _parts(given), _parts(found)))
    if isinstance(given, list | tuple):
        return len(given) == len(found) and all(map(is_kept, given, found))
    if dataclasses.is_dataclass(given) and not isinstance(given, type):
        return all(is_kept(getattr(given, each.name), getattr(found, each.name)) for each in dataclasses.fields(given))
    if isinstance(given, datetime | time):
        zones = [each.tzinfo and each.utcoffset() for each in (given, found)]
        return given == found and zones[0] == zones[1] and given.fold == found.fold
    return bool(given == found)


def _parts(mapping: dict[Any, Any]) -> Iterator[Any]:
    for pair in mapping.items():
        yield from pair
