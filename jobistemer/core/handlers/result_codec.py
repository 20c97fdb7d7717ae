"""Results as they are stored: encoded where a handler returns them, read as the type that it is annotated with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from jobistemer.core.errors import InvalidDefinition, InvalidPayload, PayloadTooLarge
from jobistemer.core.payload_json import ENCODING_ERRORS, find_non_finite
from jobistemer.core.sizes import DEFAULT_BYTES


def encode_result(value: Any, most: int = DEFAULT_BYTES) -> bytes:
    """Encode the return value of a handler as it is stored; empty for None.

    Raises InvalidPayload or PayloadTooLarge.
    """
    if value is None:
        return b""
    try:
        result = msgspec.json.encode(value)
    except (TypeError, ValueError, msgspec.EncodeError, RecursionError) as error:
        raise InvalidPayload(f"the result cannot be written as JSON: {error}") from None
    # As in payloads: JSON has no word for NaN and infinity, and null would take their place without a word.
    if b"null" in result and (unfit := find_non_finite(value)) is not None:
        raise InvalidPayload(f"the result has the number {unfit!r}, which JSON cannot say: return None instead")
    if len(result) > most:
        raise PayloadTooLarge(f"the result has {len(result)} bytes, allowed are {most}")
    return result


def read_result_type(name: str, hints: Mapping[str, Any]) -> Any:
    """Return the annotated type of the results of a task, Any without one. Raises InvalidDefinition."""
    result = hints.get("return", Any)
    result = Any if result is type(None) else result
    try:
        msgspec.json.Decoder(result)
    except (*ENCODING_ERRORS, RuntimeError, NameError) as error:
        raise InvalidDefinition(f"task {name!r} returns a type that cannot be read from JSON: {error}") from None
    return result


def may_be_none(decoder: msgspec.json.Decoder[Any]) -> bool:
    """Return whether a decoder reads null: whether None fits the type that it was made for."""
    try:
        decoder.decode(b"null")
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
