"""Questions: what a run asks people while it waits for a signal, and the fields of the answer, from its JSON schema."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidInput
from jobistemer.core.unreadable import READ_ERRORS

MAX_TEXT: Final = 1_000
MAX_PEOPLE: Final = 20
MAX_SCHEMA: Final = 2_000
"""How many bytes the schema of a wait that asks nobody may have on the record of its run."""
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_KINDS: Final = {"string": "text", "integer": "integer", "number": "number", "boolean": "flag"}


class RunQuestion(msgspec.Struct, frozen=True, omit_defaults=True):
    """A question of a run, or with an empty text only the type that its wait expects.

    name: of the signal that answers it. text: with `{parameter}` for arguments of the call.
    schema: the JSON schema of the answer. by: who may answer, empty for everybody. asked_at, due_at: Unix ms; at
    `due_at` the wait ends without an answer.
    """

    name: str
    text: str
    schema: msgspec.Raw = msgspec.Raw(b"{}")
    by: tuple[str, ...] = ()
    asked_at: int = 0
    due_at: int = 0


class AnswerField(msgspec.Struct, frozen=True, omit_defaults=True):
    """One field of an answer. kind: text, integer, number, flag, choice or json. name: empty for the whole answer.

    default: JSON. choices: JSON of each value that is allowed.
    """

    name: str
    kind: str
    is_required: bool = True
    default: str = ""
    choices: tuple[str, ...] = ()
    description: str = ""


def outline_question(text: str) -> str:
    """Return a question with `…` for the arguments of the call: a note in a list is read without its payload."""
    return _PARAMETER.sub("…", text)


def build_question(name: str, text: str, by: Iterable[str], of_type: Any, times: tuple[int, int]) -> bytes:
    """Return the question of a wait as JSON. times: when it is asked, and when it is over, Unix ms.

    Raises InvalidInput for a text that is too long, or too many people.
    """
    people = (by,) if isinstance(by, str) else tuple(map(str, by))
    if not isinstance(text, str) or not text.strip() or len(text) > MAX_TEXT:
        raise InvalidInput(f"wait_for: ask is {show(text)}, allowed are texts of 1 to {MAX_TEXT} characters")
    if len(people) > MAX_PEOPLE:
        raise InvalidInput(f"wait_for: by names {len(people)} people, {MAX_PEOPLE} are the most")
    return msgspec.json.encode(RunQuestion(name, text, msgspec.Raw(_build_schema(of_type)), people, *times))


def build_expectation(name: str, of_type: Any) -> bytes:
    """Return what a wait that asks nobody expects, as a question without a text; empty for a type without a schema."""
    schema = _build_schema(of_type)
    return (
        b""
        if len(schema) > MAX_SCHEMA or schema == b"{}"
        else msgspec.json.encode(RunQuestion(name, "", msgspec.Raw(schema)))
    )


def _build_schema(of_type: Any) -> bytes:
    try:
        return msgspec.json.encode(msgspec.json.schema(of_type))
    except (TypeError, ValueError, RecursionError, NotImplementedError):
        # A type that has no schema is answered in JSON.
        return b"{}"


def read_question(raw: bytes | str) -> RunQuestion | None:
    """Decode the question on the record of a run; None for none, or for one that cannot be read."""
    try:
        return msgspec.json.decode(raw, type=RunQuestion) if raw else None
    except READ_ERRORS:
        return None


def word_question(question: RunQuestion, payload: bytes) -> str:
    """Return the text of a question with the arguments of the call in place of `{parameter}`."""
    try:
        arguments = msgspec.json.decode(payload)
    except READ_ERRORS:
        arguments = {}
    given = arguments if isinstance(arguments, dict) else {}
    return _PARAMETER.sub(lambda match: str(given.get(match[1], match[0])), question.text)


def list_fields(question: RunQuestion) -> list[AnswerField]:
    """Return the fields of the answer: those of an object, or one without a name for any other type."""
    try:
        schema = msgspec.json.decode(question.schema)
    except READ_ERRORS:
        schema = {}
    definitions = schema.get("$defs", {}) if isinstance(schema, dict) else {}
    whole = _resolve(schema, definitions)
    if whole.get("type") != "object" or "properties" not in whole:
        return [_build_field("", whole, definitions, is_required=True)]
    required = set(whole.get("required", ()))
    return [
        _build_field(name, each, definitions, is_required=name in required)
        for name, each in whole["properties"].items()
    ]


def build_answer(question: RunQuestion, values: Mapping[str, str]) -> Any:
    """Return the answer that the texts of a form make, by the names of their fields.

    Raises InvalidInput for a field that is missing or does not fit.
    """
    fields = list_fields(question)
    read = {field.name: _read_value(field, values.get(field.name, "")) for field in fields}
    if [field.name for field in fields] == [""]:
        return read[""]
    # An optional field that was left empty keeps the default of its type.
    return {field.name: read[field.name] for field in fields if _is_given(field, values)}


def _is_given(field: AnswerField, values: Mapping[str, str]) -> bool:
    # A form sends nothing for a box that is not ticked.
    return field.is_required or field.kind == "flag" or bool(values.get(field.name))


def _resolve(schema: Any, definitions: Mapping[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref", "") if isinstance(schema, dict) else ""
    found = definitions.get(reference.rpartition("/")[2], {}) if reference else schema
    return found if isinstance(found, dict) else {}


def _build_field(name: str, schema: Any, definitions: Mapping[str, Any], *, is_required: bool) -> AnswerField:
    found = _resolve(schema, definitions)
    choices = tuple(msgspec.json.encode(each).decode() for each in found.get("enum", ()))
    kind = "choice" if choices else _KINDS.get(str(found.get("type")), "json")
    given = schema.get("default", found.get("default")) if isinstance(schema, dict) else None
    default = "" if given is None else msgspec.json.encode(given).decode()
    return AnswerField(name, kind, is_required, default, choices, str(found.get("description", "")))


def _read_value(field: AnswerField, text: str) -> Any:
    shown = field.name or "answer"
    if field.kind == "flag":
        return text == "true"
    if not text and field.is_required and field.kind != "text":
        raise InvalidInput(f"{shown} is missing")
    if field.kind == "text" or not text:
        return text
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{shown} is {show(text)}, allowed is {_describe(field)}: {error}") from None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {
        "integer": isinstance(value, int) and is_number,
        "number": is_number,
        "choice": text in field.choices,
    }
    if not fits.get(field.kind, True):
        raise InvalidInput(f"{shown} is {show(text)}, allowed is {_describe(field)}")
    return value


def _describe(field: AnswerField) -> str:
    if field.kind == "choice":
        return f"one of {', '.join(field.choices)}"
    return {"integer": "a whole number", "number": "a number"}.get(field.kind, "JSON")
