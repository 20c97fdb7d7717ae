"""Results as they are stored: encoded where a handler returns them, read as the type that it is annotated with."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, reduce
from operator import or_
from types import UnionType
from typing import Any, Final, NamedTuple, Never, NoReturn, Union, get_args, get_origin

import msgspec

from jobistemer.core.errors import InvalidDefinition, InvalidPayload, PayloadTooLarge
from jobistemer.core.handlers.control_errors import Done
from jobistemer.core.handlers.round_trip import Care, check_kept, find_care
from jobistemer.core.handlers.value_codec import (
    DECLARATION_ERRORS,
    Decode,
    build_plain_decoder,
    check_unchanged,
    encode_json,
    find_model_codec,
)
from jobistemer.core.models import ModelCodec
from jobistemer.core.payload_json import ENCODING_ERRORS, find_non_finite
from jobistemer.core.sizes import DEFAULT_BYTES

_KEPT: Final = frozenset([str, int, float, bool, type(None), msgspec.Raw])
"""Classes whose values come back as they are, whatever the annotation."""
_OPEN: Final = Care(deep=True, is_open=True)


def encode_result(value: Any, most: int = DEFAULT_BYTES) -> bytes:
    """Encode the return value of a handler as it is stored; empty for None.

    Raises InvalidPayload or PayloadTooLarge.
    """
    if value is None:
        return b""
    try:
        result = encode_json(value)
    except ENCODING_ERRORS as error:
        raise InvalidPayload(f"the result cannot be written as JSON: {error}") from None
    # As in payloads: JSON has no word for NaN and infinity, and null would take their place without a word.
    if b"null" in result and (unfit := find_non_finite(value)) is not None:
        raise InvalidPayload(f"the result has the number {unfit!r}, which JSON cannot say: return None instead")
    if len(result) > most:
        raise PayloadTooLarge(f"the result has {len(result)} bytes, allowed are {most}")
    return result


def _without_done(annotation: Any) -> Any:
    """Return an annotation without `Done`, which ends the job and is no result."""
    if annotation is Done:
        return None
    if get_origin(annotation) not in (Union, UnionType):
        return annotation
    return reduce(or_, (each for each in get_args(annotation) if each is not Done))


class ResultType(NamedTuple):
    """An annotation as results are read and compared by it. may_be_none: whether None fits it."""

    models: ModelCodec | None
    decode: Decode
    care: Care
    may_be_none: bool


def _read_type(annotation: Any) -> ResultType:
    """Read the annotation of a result. Raises one of DECLARATION_ERRORS for one that no JSON gives."""
    models = find_model_codec(annotation, "$")
    decode = models.decode if models else build_plain_decoder(annotation).decode
    care = _OPEN if models else find_care(msgspec.inspect.type_info(annotation))
    return ResultType(models, decode, care, _reads_null(decode))


_read_known_type = lru_cache(maxsize=1024)(_read_type)
"""Thousands of tasks return values of a few types, and one is not read in no time."""


def _reads_null(decode: Decode) -> bool:
    try:
        decode(b"null")
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _has_hash(annotation: Any) -> bool:
    try:
        hash(annotation)
    except TypeError:
        return False
    return True


class ResultCodec:
    """The JSON of the results of one task. Raises InvalidDefinition for an annotation that no JSON gives.

    annotation: the type of the results, Any for a task that names none. may_be_none: whether None fits it.
    """

    def __init__(self, task: str, hints: Mapping[str, Any]) -> None:
        self._task = task
        annotation = hints.get("return", Any)
        annotation = _without_done(annotation)
        annotation = Any if annotation in (None, type(None), NoReturn, Never) else annotation
        self._is_typed = annotation is not Any
        self.annotation = annotation
        try:
            read = _read_known_type if _has_hash(annotation) else _read_type
            self._models, self._decode, self._care, self.may_be_none = read(annotation)
        except DECLARATION_ERRORS as error:
            raise InvalidDefinition(f"task {task!r} returns a type that cannot be read from JSON: {error}") from None

    def encode(self, value: Any, most: int) -> bytes:
        """Encode a return value as it is stored, checked against the annotation; empty for None.

        Raises InvalidPayload with the path of what does not fit or has no form in JSON, or PayloadTooLarge.
        """
        if self._models is None or value is None:
            result = encode_result(value, most)
            if self._is_typed:
                check_kept("the result", value, self.decode(result or b"null"), self._care, "$")
            elif type(value) not in _KEPT:
                check_kept("the result", value, msgspec.json.decode(result), _OPEN, "$")
            return result
        try:
            encoded = self._models.encode(value)
        except Exception as error:  # noqa: BLE001 - serializers of models are code of the application
            raise InvalidPayload(f"the result cannot be written as JSON: {error}") from None
        result = encode_result(encoded, most)
        check_unchanged("the result", value, self.decode(result), "$")
        return result

    def decode(self, result: bytes) -> Any:
        """Decode a stored result as the annotated type. Raises InvalidPayload with the path of what does not fit."""
        try:
            return self._decode(result)
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidPayload(f"the result of task {self._task!r} does not fit its annotation: {error}") from None
