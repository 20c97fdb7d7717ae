"""The check of values against schemas says no only where the decoder of the type does."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
import pytest

from jobistemer.core.runs.json_schema import find_misfit


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Part(msgspec.Struct, forbid_unknown_fields=True):
    number: Annotated[int, msgspec.Meta(ge=1, le=9)]
    colour: Colour | None = None


class Order(msgspec.Struct, tag=True):
    parts: Annotated[list[Part], msgspec.Meta(min_length=1)]
    price: Decimal
    kind: Literal["new", "used"] = "new"
    at: datetime | None = None
    more: dict[str, int] = {}
    pair: tuple[int, str] = (0, "")
    code: Annotated[str, msgspec.Meta(pattern="^[a-z]+$", max_length=4)] = "a"


class Tree(msgspec.Struct):
    under: list[Tree] = []


PART = {"number": 1}
ORDER = {"type": "Order", "parts": [PART], "price": "1.5"}
CASES = [
    (int, 1), (int, 1.0), (int, 1.5), (int, True), (int, "1"), (float, 1), (bool, 1), (str, None), (type(None), None),
    (int | None, None), (int | str, []), (Part, PART), (Part, {"number": 0}), (Part, {"number": 10}), (Part, {}),
    (Part, {"number": 1, "colour": "red"}), (Part, {"number": 1, "colour": "green"}), (Part, {"number": 1, "other": 1}),
    (Part, [1]), (Order, ORDER), (Order, {**ORDER, "price": 1.5}), (Order, {**ORDER, "parts": []}),
    (Order, {**ORDER, "parts": [{"number": "1"}]}), (Order, {**ORDER, "kind": "broken"}), (Order, {**ORDER, "more": {"a": "b"}}),
    (Order, {**ORDER, "pair": [1, 2]}), (Order, {**ORDER, "code": "A"}), (Order, {**ORDER, "code": "abcde"}),
    (Order, {**ORDER, "type": "Part"}), (Order, {**ORDER, "at": 5.5e300}), (Tree, {"under": [{"under": [{"under": 1}]}]}),
    (Any, {"a": [1]}), (list[int], [1, "2"]), (dict[str, bool], {"a": 0}),
]  # fmt: skip


@pytest.mark.parametrize(("of_type", "value"), CASES, ids=repr)
def test_the_schema_says_what_the_decoder_says(of_type, value):
    try:
        msgspec.json.decode(msgspec.json.encode(value), type=of_type)
        fits = True
    except msgspec.ValidationError:
        fits = False
    found = find_misfit(msgspec.json.encode(msgspec.json.schema(of_type)), value)
    assert (found == "") is fits, found


def test_a_misfit_names_the_place_the_value_and_what_is_allowed():
    schema = msgspec.json.encode(msgspec.json.schema(Order))
    assert (
        find_misfit(schema, {**ORDER, "parts": [PART, {"number": "x"}]})
        == "$.parts[1].number is 'x', allowed is integer"
    )
    assert find_misfit(schema, {"type": "Order"}) == "$ has no field 'parts'"


@pytest.mark.parametrize("schema", [b"", b"{", b"[]", b"5", b'{"$ref": "#/$defs/gone"}', b'{"type": "shape"}'])
def test_what_a_schema_does_not_say_fits(schema):
    assert find_misfit(schema, {"a": 1}) == ""
