"""What can never fit is found by the annotations; nothing that may fit is refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pytest
from pydantic import BaseModel

from jobistemer.core.handlers.type_fit import can_never_fit, show_type


class Row(msgspec.Struct, array_like=True):
    number: int


class Item(msgspec.Struct):
    number: int


@dataclass
class Line:
    number: int


class Words(TypedDict):
    number: int


class Model(BaseModel):
    number: int


@pytest.mark.parametrize(
    ("returned", "wanted"),
    [
        (int, str),
        (str, float),
        (bool, int),
        (list[int], dict[str, int]),
        (tuple[int, str], Item),
        (Row, Line),
        (Item, list[Any]),
        (Words, str),
        (int | float, str | dict[str, int]),
        (Annotated[int, msgspec.Meta(gt=0)], set[int]),
        (int | None, str),
    ],
)
def test_what_can_never_be_read_is_found(returned, wanted):
    assert can_never_fit(returned, wanted)


@pytest.mark.parametrize(
    ("returned", "wanted"),
    [
        (int, int),
        (int, float),
        (float, int),
        (Any, int),
        (int, Any),
        (int | None, str | None),
        (list[int], set[str]),
        (Row, tuple[int]),
        (Item, Words),
        (Model, int),
        (str, Model),
        (Decimal, float),
        (str, datetime),
        (datetime, int),
        (Literal["a"], int),
        (int | Model, str),
        (complex, str),
        ("Unknown", str),
        (msgspec.Raw, str),
    ],
)
def test_what_may_fit_or_is_not_known_is_let_through(returned, wanted):
    assert not can_never_fit(returned, wanted)


@pytest.mark.parametrize(
    ("annotation", "shown"),
    [
        (int, "int"),
        (list[int], "list[int]"),
        (int | None, "int | None"),
        (Any, "Any"),
        (Item, "Item"),
        (None, "None"),
        (list[Item] | None, "list[Item] | None"),
    ],
)
def test_a_type_is_shown_as_it_stands_in_code(annotation, shown):
    assert show_type(annotation) == shown
