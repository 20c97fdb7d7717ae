"""What comes out of JSON equals what went in: values are compared where they go in, in a call or as a result.

The annotation says what a value comes back as. A value in the JSON form of its annotation (a text for a datetime, a
list for a tuple, an object for a dataclass) is read as what it stands for. Where the annotation leaves the type open
(`Any`, `object`, none at all) only what JSON itself knows comes back as it was: everything else is refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidPayload
from jobistemer.core.models import find_change, is_model, is_zone

_TEXTS: Final = (date, time, timedelta, UUID, Decimal, bytes, bytearray, memoryview, Enum)
"""What JSON writes as a text."""
_EXACT: Final = frozenset([str, int, float, bool])
_ANNOTATE: Final = "annotate it with its type, or give what JSON knows"
_OPEN: Final = (msgspec.inspect.AnyType, msgspec.inspect.CustomType, msgspec.inspect.RawType)
_DEEP: Final = (
    # The comparison of a signalling NaN raises.
    msgspec.inspect.DecimalType,
    msgspec.inspect.DateTimeType,
    msgspec.inspect.TimeType,
    msgspec.inspect.DataclassType,
    msgspec.inspect.StructType,
    msgspec.inspect.NamedTupleType,
    msgspec.inspect.TypedDictType,
)


class Loss(NamedTuple):
    """A part of a value that would not come back as it is: its path, and what to do."""

    path: str
    remedy: str


class Care(NamedTuple):
    """How a value of one annotation is compared.

    deep: also when Python calls both equal, since they may differ in a time zone or a class. is_open: a part of the
    annotation leaves the type open.
    """

    deep: bool
    is_open: bool


def find_care(info: msgspec.inspect.Type) -> Care:
    """Return how values of a type are compared."""
    parts = list(_iterate_types(info, []))
    is_open = any(isinstance(part, _OPEN) for part in parts)
    return Care(is_open or any(isinstance(part, _DEEP) for part in parts), is_open)


def find_cares(decoder: msgspec.json.Decoder[Any] | None) -> dict[str, Care]:
    """Return how each parameter of a payload is compared, by name; decoder: of the whole payload."""
    info = msgspec.inspect.type_info(decoder.type) if decoder is not None else None
    return {field.name: find_care(field.type) for field in getattr(info, "fields", ())}


def check_kept(what: str, given: Any, found: Any, care: Care, path: str) -> None:
    """Check that a value has come back from JSON as it was given.

    Raises InvalidPayload with the path and the remedy.
    """
    if not care.deep and equals(given, found):
        return
    loss = find_loss(given, found, path, is_open=care.is_open)
    if loss is not None:
        raise InvalidPayload(f"{what} would not come back as it is: `{loss.path}` {loss.remedy}")


def find_loss(given: Any, found: Any, path: str, *, is_open: bool) -> Loss | None:
    """Return the first part of a value that does not come back from JSON as it was given, or None."""
    if _is_exact(given, found):
        return None
    if isinstance(given, datetime | time):
        return _find_lost_zone(given, found, path)
    if isinstance(given, msgspec.Raw) or (isinstance(given, Mapping) and is_model(type(found))):
        # A model is made of a mapping as pydantic sees fit.
        return None
    if is_model(type(given)):
        changed = find_change(given, found, path)
        return None if changed is None else Loss(changed, _explain_model(given, found))
    if isinstance(given, Mapping):
        return _find_in_mapping(given, found, path, is_open=is_open)
    if isinstance(given, list | tuple | set | frozenset):
        return _find_in_items(given, found, path, is_open=is_open)
    if isinstance(given, (str, int, float, *_TEXTS)):
        return None if _is_kept_scalar(given, found, is_open=is_open) else Loss(path, _explain(given, found))
    return _find_in_fields(given, found, path, is_open=is_open)


def _is_exact(given: Any, found: Any) -> bool:
    """Return whether two values are of JSON's own classes, and the same throughout: most are, so this comes first."""
    kind = type(given)
    if kind in _EXACT:
        return kind is type(found) and bool(given == found)
    if kind is not type(found) or (kind is not dict and kind is not list) or len(given) != len(found):
        return given is found
    if kind is list:
        return all(map(_is_exact, given, found))
    return all(map(_is_exact, given, found)) and all(map(_is_exact, given.values(), found.values()))


def _is_kept_scalar(given: Any, found: Any, *, is_open: bool) -> bool:
    if equals(given, found):
        return isinstance(found, bool) == isinstance(given, bool)
    if isinstance(given, Decimal) and isinstance(found, Decimal):
        return given.is_nan() and found.is_nan()
    if is_open:
        return False
    # The JSON form of what the annotation names.
    if isinstance(found, Enum):
        return equals(given, found.value)
    if isinstance(found, Decimal) and isinstance(given, float):
        return float(found) == given
    return isinstance(given, str) and isinstance(found, _TEXTS)


def _find_lost_zone(given: datetime | time, found: Any, path: str) -> Loss | None:
    if type(found) is not type(given):
        return Loss(path, _explain(given, found))
    zone = given.tzinfo
    if zone is not None and not isinstance(zone, timezone) and not (is_zone(zone) and zone.key == "UTC"):
        return Loss(
            path,
            f"has the time zone {zone}, of which only the offset would come back: give it in UTC "
            "(`.astimezone(UTC)`), and the name of the zone as an argument of its own where it matters",
        )
    if given.fold and zone is None:
        return Loss(path, "has fold=1, which JSON cannot say: give it in UTC")
    return None if given == found else Loss(path, _explain(given, found))


def _find_in_mapping(given: Mapping[Any, Any], found: Any, path: str, *, is_open: bool) -> Loss | None:
    if not isinstance(found, dict):
        return _find_in_form(given, found, path, is_open=is_open)
    if len(found) < len(given):
        lost = next((key for key in given if key not in found), None)
        return Loss(path, f"has the key {show(lost)}, which its type does not have")
    # JSON keeps the order of the keys.
    for (key, value), (found_key, found_value) in zip(given.items(), found.items(), strict=False):
        place = f"{path}[{show(key)}]"
        loss = find_loss(key, found_key, place, is_open=is_open) or find_loss(
            value, found_value, place, is_open=is_open
        )
        if loss is not None:
            return loss
    return None


def _find_in_form(given: Mapping[Any, Any], found: Any, path: str, *, is_open: bool) -> Loss | None:
    """Compare the JSON form of an object with the object that is read from it."""
    names = {field.encode_name: field.name for field in _struct_fields(found)}
    tag = getattr(getattr(found, "__struct_config__", None), "tag_field", None)
    for key, value in given.items():
        name = names.get(key, key)
        if key == tag:
            continue
        if not isinstance(name, str) or not hasattr(found, name):
            return Loss(path, f"has the key {show(key)}, which its type does not have")
        if (loss := find_loss(value, getattr(found, name), f"{path}.{name}", is_open=is_open)) is not None:
            return loss
    return None


def _find_in_items(given: Any, found: Any, path: str, *, is_open: bool) -> Loss | None:
    is_tuple_with_names = hasattr(type(given), "_fields")
    if (is_open or is_tuple_with_names) and not isinstance(found, type(given)):
        return Loss(path, _explain(given, found))
    if isinstance(found, set | frozenset) or isinstance(given, set | frozenset):
        return None if equals(set(given), set(found)) else Loss(path, _explain(given, found))
    items = list(found) if isinstance(found, list | tuple) else [value for _, value in _read_fields(found)]
    if len(items) != len(given):
        return Loss(path, _explain(given, found))
    pairs = enumerate(zip(given, items, strict=True))
    losses = (find_loss(one, other, f"{path}[{at}]", is_open=is_open) for at, (one, other) in pairs)
    return next((loss for loss in losses if loss is not None), None)


def _find_in_fields(given: Any, found: Any, path: str, *, is_open: bool) -> Loss | None:
    if type(given) is not type(found):
        return Loss(path, _explain(given, found))
    fields = _read_fields(given)
    for name, value in fields:
        if (loss := find_loss(value, getattr(found, name, None), f"{path}.{name}", is_open=is_open)) is not None:
            return loss
    # An object without a comparison of its own equals itself only.
    own = getattr(type(given), "__eq__", None) is not object.__eq__
    return Loss(path, _explain(given, found)) if own and not fields and not equals(given, found) else None


def _read_fields(value: Any) -> list[tuple[str, Any]]:
    names = [field.name for field in _struct_fields(value)]
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
    names = names or [field.name for field in getattr(type(value), "__attrs_attrs__", ())]
    return [(name, getattr(value, name, None)) for name in names]


def _struct_fields(value: Any) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(value) if isinstance(value, msgspec.Struct) else ()


def _explain(given: Any, found: Any) -> str:
    if isinstance(given, type(found)) and type(given) is not type(found) and not isinstance(found, str | int | float):
        return f"is a {type(given).__qualname__}, and would come back as {type(found).__qualname__}, as is annotated"
    return f"is a {type(given).__qualname__}, and would come back as {show(found)}: {_ANNOTATE}"


def _explain_model(given: Any, found: Any) -> str:
    if type(given) is not type(found):
        return _explain(given, found)
    return (
        f"is changed by the JSON of {type(given).__qualname__}: give instants in UTC, and "
        "leave out fields that are secret, excluded or Any"
    )


def equals(given: Any, found: Any) -> bool:
    """Return whether Python calls two values equal; False when their comparison fails."""
    try:
        return bool(given == found)
    except Exception:  # noqa: BLE001 - the comparison of values is code of the application
        return False


def _iterate_types(info: Any, seen: list[Any]) -> Iterator[Any]:
    """Yield a type and all types within it."""
    if any(info is each for each in seen):
        return
    seen.append(info)
    yield info
    for name in info.__struct_fields__:
        value = getattr(info, name)
        for each in value if isinstance(value, tuple) else (value,):
            inner = each.type if isinstance(each, msgspec.inspect.Field) else each
            if isinstance(inner, msgspec.inspect.Type):
                yield from _iterate_types(inner, seen)
