"""Questions to people: the fields of an answer from the type of the wait, and what a form makes of them."""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec
import pytest

from jobistemer.core.errors import InvalidInput
from jobistemer.core.runs.questions import build_answer, build_question, list_fields, read_question, word_question


class Level(Enum):
    LOW = "low"
    HIGH = "high"


class Approval(msgspec.Struct):
    ok: bool
    level: Level
    amount: int = 3
    share: float | None = None
    note: str = ""


def question(of_type: Any = Approval, text: str = "Close {customer}?", by=("ops",)):
    return read_question(build_question("approved", text, by, of_type, (1_000, 2_000)))


def test_a_question_keeps_its_text_its_people_and_its_times():
    found = question()
    assert (found.name, found.text, found.by, found.asked_at, found.due_at) == (
        "approved",
        "Close {customer}?",
        ("ops",),
        1_000,
        2_000,
    )
    assert question(by="ops").by == ("ops",)


def test_the_text_takes_arguments_of_the_call_and_leaves_what_it_does_not_know():
    found = question(text="Close {customer} of {nobody} for {n}?")
    assert word_question(found, b'{"customer":"acme","n":2}') == "Close acme of {nobody} for 2?"
    assert word_question(found, b"[]") == word_question(found, b"nonsense") == found.text


def test_the_fields_are_those_of_the_type():
    assert [
        (each.name, each.kind, each.is_required, each.default, each.choices) for each in list_fields(question())
    ] == [
        ("ok", "flag", True, "", ()),
        ("level", "choice", True, "", ('"high"', '"low"')),
        ("amount", "integer", False, "3", ()),
        ("share", "json", False, "", ()),
        ("note", "text", False, '""', ()),
    ]


@pytest.mark.parametrize(
    ("of_type", "kind"),
    [
        (str, "text"),
        (int, "integer"),
        (float, "number"),
        (bool, "flag"),
        (Level, "choice"),
        (list[int], "json"),
        (Any, "json"),
        (object, "json"),
    ],
)
def test_an_answer_that_is_no_object_is_one_field(of_type, kind):
    (field,) = list_fields(question(of_type))
    assert (field.name, field.kind) == ("", kind)


def test_a_form_becomes_a_value_of_the_type():
    values = {"ok": "true", "level": '"high"', "amount": "7", "share": "", "note": "fine"}
    assert msgspec.convert(build_answer(question(), values), Approval) == Approval(True, Level.HIGH, 7, None, "fine")
    # A box that is not ticked and a field that was left empty come as nothing.
    assert build_answer(question(), {"level": '"low"', "amount": ""}) == {"ok": False, "level": "low"}
    assert build_answer(question(int), {"": "5"}) == 5
    assert build_answer(question(str), {"": "yes"}) == "yes"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "level is missing"),
        ({"level": '"x"'}, "allowed is one of"),
        ({"level": '"low"', "amount": "z"}, "amount is 'z', allowed is a whole number"),
        ({"level": '"low"', "amount": "true"}, "allowed is a whole number"),
        ({"level": '"low"', "amount": "1.5"}, "allowed is a whole number"),
        ({"level": '"low"', "share": "{"}, "allowed is JSON"),
    ],
)
def test_what_does_not_fit_is_refused_by_the_name_of_the_field(values, said):
    with pytest.raises(InvalidInput, match=said):
        build_answer(question(), values)


@pytest.mark.parametrize(("text", "by"), [(" ", ()), ("x" * 1_001, ()), (7, ()), ("fine?", ["a"] * 21)])
def test_a_question_that_cannot_be_asked_is_refused(text, by):
    with pytest.raises(InvalidInput, match="wait_for"):
        build_question("approved", text, by, Approval, (0, 1))


def test_what_cannot_be_read_is_no_question():
    assert [read_question(each) for each in ("", b"{", b"[]", b'{"name":1}')] == [None] * 4
