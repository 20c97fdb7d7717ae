"""Models of pydantic in payloads and results: their JSON is made and read by pydantic itself.

pydantic is found among the modules that the application has imported, and is never imported here: an annotation can
name a model only after the application has imported pydantic.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from datetime import datetime, time
from functools import cache
from math import isnan
from typing import TYPE_CHECKING, Any, Final, TypeGuard, get_args, get_type_hints

import msgspec

from jobistemer.core.payload_json import find_non_finite

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_SCHEMA_METHODS: Final = ("__get_pydantic_core_schema__", "__pydantic_core_schema__")
_METADATA_MODULES: Final = {"pydantic", "pydantic_core", "annotated_types"}
"""Packages whose objects in `Annotated[…]` only pydantic obeys, such as Field(gt=0)."""
# By names, whatever the aliases of a model are: an alias for one direction only could not be read again.
_DUMP: Final[dict[str, Any]] = {"round_trip": True, "by_alias": False, "warnings": False}
_READ: Final[dict[str, Any]] = {"by_alias": True, "by_name": True}
_SHOWN_FAULTS: Final = 3
"""How many faults of one value an error names."""
Pairs = list[tuple[str, Any, Any]]
"""Parts of two values side by side, each with its place."""


def is_zone(value: object) -> TypeGuard[ZoneInfo]:
    """Return whether a value is a time zone of zoneinfo, which is found like pydantic: who has made one imported it."""
    zones = sys.modules.get("zoneinfo")
    return zones is not None and isinstance(value, zones.ZoneInfo)


class ModelCodec:
    """The JSON of one annotation that holds models.

    place: the path of its values in error texts. Raises what pydantic raises for an annotation that it refuses.
    """

    def __init__(self, annotation: Any, place: str = "$") -> None:
        self.place = place
        self._adapter = sys.modules["pydantic"].TypeAdapter(annotation)
        # It raises for a part that no JSON gives, such as an object of any class; without it only a call would.
        self._adapter.json_schema()

    def encode(self, value: Any) -> msgspec.Raw:
        """Encode a value. Raises ValueError, or what a serializer of the application raises."""
        encoded = self._adapter.dump_json(value, **_DUMP)
        if b"null" in encoded:
            _refuse_non_finite(self._adapter.dump_python(value, **_DUMP))
        return msgspec.Raw(encoded)

    def decode(self, encoded: bytes | msgspec.Raw) -> Any:
        """Decode and validate a value. Raises msgspec.ValidationError with the paths of what does not fit."""
        return _validate(self._adapter, bytes(encoded), self.place)


def holds_models(annotation: Any) -> bool:
    """Return whether pydantic has to read the values of an annotation, or of a part of it."""
    return "pydantic" in sys.modules and any(map(_is_of_pydantic, _iterate_parts(annotation, {})))


def is_model(kind: Any) -> bool:
    """Return whether a class says by itself how pydantic reads it, such as a model."""
    return isinstance(kind, type) and any(hasattr(kind, method) for method in _SCHEMA_METHODS)


def encode_model(value: Any) -> msgspec.Raw:
    """Encode a model among other values; a hook of msgspec. Raises TypeError for what is no model."""
    if not is_model(type(value)) or "pydantic" not in sys.modules:
        raise TypeError(f"Encoding objects of type {type(value).__module__}.{type(value).__qualname__} is unsupported")
    adapter = _find_adapter(value.__class__)
    encoded: bytes = adapter.dump_json(value, **_DUMP)
    if b"null" in encoded:
        _refuse_non_finite(adapter.dump_python(value, **_DUMP))
    return msgspec.Raw(encoded)


def decode_model(kind: type, value: Any) -> Any:
    """Validate a model among other values; a hook of msgspec. Raises msgspec.ValidationError.

    Of any other class the value stays, and msgspec checks that it is one of its objects.
    """
    if not is_model(kind):
        return value
    # JSON again: the strict mode of a model takes a datetime as text from JSON, and from nothing else.
    return _validate(_find_adapter(kind), msgspec.json.encode(value), "")


def find_change(given: Any, found: Any, path: str) -> str | None:
    """Return the path of the first part of a model that does not come back as it was given, or None.

    Private attributes are no part of a model.
    """
    # Python calls instants equal whatever their zones, so models with instants are compared part by part.
    if not _holds_times(given.__class__) and _is_same(given, found):
        return None
    return _find_inner_change(given, found, path)


def _find_inner_change(given: Any, found: Any, path: str) -> str | None:
    pairs = _pair_items(given, found) or _pair_fields(given, found)
    if not pairs or type(given) is not type(found):
        is_empty_model = type(given) is type(found) and hasattr(type(given), "__pydantic_fields__")
        return None if is_empty_model or _is_same(given, found) else path
    return _find_first(pairs, path, _find_inner_change)


@cache
def _holds_times(kind: type) -> bool:
    try:
        schema = str(_find_adapter(kind).json_schema())
    except Exception:  # noqa: BLE001 - what cannot be described may hold anything
        return True
    return "'date-time'" in schema or "'time'" in schema


def _find_first(pairs: Pairs, path: str, find: Callable[[Any, Any, str], str | None]) -> str | None:
    return next((change for at, one, other in pairs if (change := find(one, other, f"{path}{at}"))), None)


def _pair_fields(given: Any, found: Any) -> Pairs:
    """Return the fields of two models side by side, with their places; empty for what has none."""
    after = _read_fields(found)
    return [(f".{name}", value, after.get(name)) for name, value in _read_fields(given).items()]


def _read_fields(model: Any) -> dict[str, Any]:
    if not hasattr(type(model), "__pydantic_fields__"):
        return {}
    return {**vars(model), **(getattr(model, "__pydantic_extra__", None) or {})}


def _pair_items(given: Any, found: Any) -> Pairs:
    """Return the items of two containers side by side, with their places; empty for what has none."""
    if isinstance(given, dict) and isinstance(found, dict):
        return [(f"[{key!r:.40}]", value, found.get(key)) for key, value in given.items()]
    if isinstance(given, list | tuple) and isinstance(found, list | tuple) and len(given) == len(found):
        return [(f"[{at}]", one, other) for at, (one, other) in enumerate(zip(given, found, strict=True))]
    return []


def _is_same(given: Any, found: Any) -> bool:
    if given is found:
        return True
    if isinstance(given, datetime | time) and is_zone(given.tzinfo) and given.tzinfo.key != "UTC":
        # JSON has the offset of the zone, and not its name.
        return False
    try:
        if given == found:
            return True
    except Exception:  # noqa: BLE001 - the comparison of values is code of the application
        return False
    if type(given) is not type(found):
        return False
    if isinstance(given, float):
        return isnan(given) and isnan(float(found))
    if isinstance(given, datetime) and given.tzinfo is not None and found.tzinfo is not None:
        # Python says that an instant within an overlap of a zone equals none with another zone.
        return bool(given.timestamp() == found.timestamp())
    # An object without a comparison of its own equals itself only.
    return getattr(type(given), "__eq__", None) is object.__eq__


def _validate(adapter: Any, encoded: bytes, root: str) -> Any:
    try:
        return adapter.validate_json(encoded, **_READ)
    except sys.modules["pydantic"].ValidationError as error:
        raise msgspec.ValidationError(_describe_faults(error, root)) from None
    except Exception as error:
        # A validator of the application may raise anything, and pydantic turns ValueError and AssertionError only.
        raise msgspec.ValidationError(f"a validator raised {type(error).__name__}: {error}") from error


def _describe_faults(error: Any, root: str) -> str:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    shown = [f"{fault['msg']} - at `{root}{_write_path(fault['loc'])}`" for fault in faults[:_SHOWN_FAULTS]]
    left = len(faults) - len(shown)
    return "; ".join(shown) + (f"; and {left} more" if left else "")


def _write_path(places: tuple[Any, ...]) -> str:
    return "".join(f"[{place}]" if isinstance(place, int) else f".{place}" for place in places)


def _refuse_non_finite(parts: Any) -> None:
    if (unfit := find_non_finite(parts)) is not None:
        raise ValueError(f"a model has the number {unfit!r}, which JSON cannot say")


@cache
def _find_adapter(kind: type) -> Any:
    return sys.modules["pydantic"].TypeAdapter(kind)


def _is_of_pydantic(part: Any) -> bool:
    if isinstance(part, type):
        return is_model(part)
    return type(part).__module__.partition(".")[0] in _METADATA_MODULES or is_model(type(part))


def _iterate_parts(annotation: Any, seen: dict[int, Any]) -> Iterator[Any]:
    """Yield an annotation, its arguments, its metadata, and the annotations of the fields of its classes."""
    if id(annotation) in seen:
        return
    # Kept: the id of an object that is gone may be that of the next one.
    seen[id(annotation)] = annotation
    yield annotation
    yield from getattr(annotation, "__metadata__", ())
    # The value of `type Name = …` (Python 3.12).
    inner = (*get_args(annotation), *_find_fields(annotation), getattr(annotation, "__value__", None))
    for part in inner:
        if part is not None:
            yield from _iterate_parts(part, seen)


def _find_fields(kind: Any) -> tuple[Any, ...]:
    if not isinstance(kind, type) or not _has_fields(kind):
        return ()
    try:
        return tuple(get_type_hints(kind, include_extras=True).values())
    except Exception:  # noqa: BLE001 - whoever builds the decoder of this class reports what is wrong with it
        return ()


_KINDS_WITH_FIELDS: Final[tuple[Callable[[type], bool], ...]] = (
    lambda kind: issubclass(kind, msgspec.Struct),
    is_dataclass,
    lambda kind: hasattr(kind, "__attrs_attrs__"),
    lambda kind: issubclass(kind, tuple) and hasattr(kind, "_fields"),
    lambda kind: issubclass(kind, dict) and hasattr(kind, "__total__"),
)


def _has_fields(kind: type) -> bool:
    return any(check(kind) for check in _KINDS_WITH_FIELDS)
