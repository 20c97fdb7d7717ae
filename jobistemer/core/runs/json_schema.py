"""The check of a JSON value against the schema of a type, as `msgspec.json.schema` writes it.

It tells what certainly does not fit, for senders that have not the type itself; the receiver decodes with the type.
What a schema says beyond these words counts as fitting.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from jobistemer.core.checks import show
from jobistemer.core.unreadable import READ_ERRORS


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_DEEPEST: Final = 20
"""Levels of a value that are checked; a schema may refer to itself."""
_TYPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": _is_number,
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}
_BOUNDS: Final[Mapping[str, tuple[str, Callable[[Any, Any], bool]]]] = {
    "minimum": ("at least", lambda value, bound: not _is_number(value) or value >= bound),
    "maximum": ("at most", lambda value, bound: not _is_number(value) or value <= bound),
    "exclusiveMinimum": ("more than", lambda value, bound: not _is_number(value) or value > bound),
    "exclusiveMaximum": ("less than", lambda value, bound: not _is_number(value) or value < bound),
    "minLength": ("characters, at least", lambda value, bound: not isinstance(value, str) or len(value) >= bound),
    "maxLength": ("characters, at most", lambda value, bound: not isinstance(value, str) or len(value) <= bound),
    "minItems": ("items, at least", lambda value, bound: not isinstance(value, list) or len(value) >= bound),
    "maxItems": ("items, at most", lambda value, bound: not isinstance(value, list) or len(value) <= bound),
}


def find_misfit(schema: bytes, value: Any) -> str:
    """Return in words why a value does not fit a schema; empty when nothing speaks against it."""
    try:
        decoded = msgspec.json.decode(schema)
    except READ_ERRORS:
        return ""
    definitions = decoded.get("$defs", {}) if isinstance(decoded, dict) else {}
    return _Check(definitions).find(decoded, value, "$", 0)


class _Check:
    def __init__(self, definitions: Any) -> None:
        self._definitions = definitions if isinstance(definitions, dict) else {}

    def find(self, schema: Any, value: Any, path: str, depth: int) -> str:
        """Return in words why a part of the value does not fit."""
        if not isinstance(schema, dict) or depth > _DEEPEST:
            return ""
        if reference := schema.get("$ref"):
            return self.find(self._definitions.get(str(reference).rpartition("/")[2]), value, path, depth + 1)
        # A decimal may come as a number too.
        if schema.get("format") == "decimal" and _is_number(value):
            return ""
        if alternatives := schema.get("anyOf"):
            misfits = [self.find(each, value, path, depth + 1) for each in alternatives]
            return "" if "" in misfits else misfits[0]
        return self._find_wrong_kind(schema, value, path) or self._find_in_parts(schema, value, path, depth)

    def _find_wrong_kind(self, schema: dict[str, Any], value: Any, path: str) -> str:
        kinds = schema.get("type", [])
        known = [each for each in ([kinds] if isinstance(kinds, str) else kinds) if each in _TYPES]
        if known and not any(_TYPES[each](value) for each in known):
            return f"{path} is {show(value)}, allowed is {' or '.join(known)}"
        choices = schema.get("enum", [schema["const"]] if "const" in schema else None)
        if choices is not None and value not in choices:
            return f"{path} is {show(value)}, allowed is one of {', '.join(map(show, choices))}"
        for name, (words, fits) in _BOUNDS.items():
            if name in schema and not fits(value, schema[name]):
                return f"{path} is {show(value)}, allowed are {words} {schema[name]}"
        if isinstance(value, str) and (pattern := schema.get("pattern")) and not re.search(pattern, value):
            return f"{path} is {show(value)}, allowed is what matches {pattern}"
        return ""

    def _find_in_parts(self, schema: dict[str, Any], value: Any, path: str, depth: int) -> str:
        if isinstance(value, list):
            first = schema.get("prefixItems", [])
            rest = schema.get("items")
            parts = [
                (first[at] if at < len(first) else rest, each, f"{path}[{at}]") for at, each in enumerate(value[:1_000])
            ]
        elif isinstance(value, dict):
            missing = [name for name in schema.get("required", ()) if name not in value]
            if missing:
                return f"{path} has no field {missing[0]!r}"
            own, more = schema.get("properties", {}), schema.get("additionalProperties")
            if more is False and (strange := [name for name in value if name not in own]):
                return f"{path} has the unknown field {strange[0]!r}"
            parts = [(own.get(name, more), each, f"{path}.{name}") for name, each in value.items()]
        else:
            return ""
        found = (self.find(part, each, where, depth + 1) for part, each, where in parts)
        return next((each for each in found if each), "")
