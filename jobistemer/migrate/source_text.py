"""Values as Python source, with the imports that they need."""

from __future__ import annotations

import sys
from datetime import date, datetime
from enum import Enum
from typing import Any

import msgspec

from jobistemer.core.errors import InvalidInput
from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.migrate.found import Exceptions

_PLAIN = (int, float, bool, type(None))


class Imports:
    """The names that a module imports, by the module that they come from; whole modules have no names."""

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = {}

    def add(self, module: str, name: str = "") -> str:
        """Note an import. Returns the text by which the module then refers to it."""
        self._names.setdefault(module, set()).update({name} if name else ())
        return name or module

    def write(self) -> str:
        """Return the import lines: the standard library, then the application, then this package."""
        ordered = sorted(self._names, key=lambda module: (bool(self._names[module]), module))
        groups = (
            [module for module in ordered if module in sys.stdlib_module_names],
            [module for module in ordered if module not in sys.stdlib_module_names],
        )
        return "\n\n".join("\n".join(self._write_line(module) for module in group) for group in groups if group)

    def _write_line(self, module: str) -> str:
        names = self._names[module]
        if not names:
            return f"import {module}"
        ordered = sorted(names, key=lambda name: (not name.isupper(), name.islower(), name))
        return f"from {module} import {', '.join(ordered)}"


def write_value(value: Any, imports: Imports) -> str:
    """Return a value as source text. Raises InvalidInput for one that has none."""
    if value == NO_RETRIES and isinstance(value, type(NO_RETRIES)):
        return imports.add("jobistemer", "NO_RETRIES")
    if isinstance(value, Exceptions):
        classes = ", ".join(_write_class(each, imports) for each in value.classes)
        return f"({classes},)"
    if isinstance(value, Enum):
        return quote(value.value)
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, datetime):
        return f"{imports.add('datetime', 'datetime')}.fromisoformat({quote(value.isoformat())})"
    if isinstance(value, date):
        return f"{imports.add('datetime', 'date')}.fromisoformat({quote(value.isoformat())})"
    if isinstance(value, msgspec.Struct):
        return _write_struct(value, imports)
    if isinstance(value, tuple | list):
        items = ", ".join(write_value(each, imports) for each in value)
        comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
        return f"({items}{comma})" if isinstance(value, tuple) else f"[{items}]"
    if isinstance(value, dict):
        items = ", ".join(f"{write_value(key, imports)}: {write_value(each, imports)}" for key, each in value.items())
        return f"{{{items}}}"
    raise InvalidInput(f"a value of type {type(value).__name__} cannot be a payload: {value!r:.100}")


def quote(text: str) -> str:
    """Return a text as a literal in double quotes where that needs no escapes."""
    plain = repr(text)
    return f'"{plain[1:-1]}"' if plain[0] == "'" and '"' not in plain and "\\" not in plain else plain


def _write_struct(value: msgspec.Struct, imports: Imports) -> str:
    name = imports.add("jobistemer", type(value).__name__)
    given = []
    for field in msgspec.structs.fields(value):
        own = getattr(value, field.name)
        if field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT:
            given.append(write_value(own, imports))
        elif own != field.default:
            given.append(f"{field.name}={write_value(own, imports)}")
    return f"{name}({', '.join(given)})"


def _write_class(value: type[BaseException], imports: Imports) -> str:
    if value.__module__ == "builtins":
        return value.__name__
    return f"{imports.add(value.__module__)}.{value.__qualname__}"
