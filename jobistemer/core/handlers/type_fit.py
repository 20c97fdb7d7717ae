"""Whether what one task returns can ever be read as what another task asks for, as far as their annotations say.

Types are compared by the kinds of JSON that stand for them, so only what can never fit is found: `int` for a `str`. All
else is found when a result is read.
"""

from __future__ import annotations

import re
from typing import Any, Final, get_args

from msgspec import inspect

from jobistemer.core.handlers.value_codec import DECLARATION_ERRORS

_MODULE: Final = re.compile(r"\b(?:\w+\.)+(?=\w)")
_UNKNOWN: Final = frozenset[str]()
_KINDS: Final[dict[type, str]] = {
    inspect.NoneType: "null",
    inspect.BoolType: "boolean",
    inspect.IntType: "number",
    inspect.FloatType: "number",
    inspect.StrType: "text",
    inspect.BytesType: "text",
    inspect.ByteArrayType: "text",
    inspect.UUIDType: "text",
    inspect.ListType: "array",
    inspect.SetType: "array",
    inspect.FrozenSetType: "array",
    inspect.VarTupleType: "array",
    inspect.TupleType: "array",
    inspect.NamedTupleType: "array",
    inspect.DictType: "object",
    inspect.TypedDictType: "object",
    inspect.DataclassType: "object",
}
"""Types of one kind. A Decimal, a time or an enumeration may be written in several ways: nothing is said of them."""


def can_never_fit(returned: Any, wanted: Any) -> bool:
    """Return whether no value of the one annotation can be read as the other."""
    given, read = _find_kinds(returned), _find_kinds(wanted)
    return bool(given and read) and not given & read


def show_type(annotation: Any) -> str:
    """Return an annotation as it stands in code."""
    if annotation is None or annotation is type(None):
        return "None"
    plain = isinstance(annotation, type) and not get_args(annotation)
    # Classes within another type are shown with their modules.
    return annotation.__name__ if plain else _MODULE.sub("", str(annotation))


def _find_kinds(annotation: Any) -> frozenset[str]:
    """Return the kinds of JSON that a type may be written as; none when they are not known."""
    try:
        return _kinds_of(inspect.type_info(annotation))
    except DECLARATION_ERRORS:
        return _UNKNOWN


def _kinds_of(info: inspect.Type) -> frozenset[str]:
    if isinstance(info, inspect.UnionType):
        parts = [_kinds_of(each) for each in info.types]
        return frozenset().union(*parts) if all(parts) else _UNKNOWN
    if isinstance(info, inspect.StructType):
        return frozenset({"array" if info.array_like else "object"})
    if isinstance(info, inspect.Metadata):
        return _kinds_of(info.type)
    kind = _KINDS.get(type(info))
    return frozenset({kind}) if kind else _UNKNOWN
