"""Checks of JSON that is on its way into a message or a definition: whoever reads it later has to be able to.

A reader has less of its stack left than the writer had, so a value may be nested MAX_DEPTH levels deep and no deeper.
"""

from __future__ import annotations

from math import isfinite
from typing import Any, Final

import msgspec

from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidPayload

MAX_DEPTH: Final = 64
"""How many levels of objects and arrays may stand in one another, the outermost included."""

ENCODING_ERRORS: Final = (
    *(msgspec.MsgspecError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError),
)
"""What writing or reading a value as JSON raises, also from the classes of an application."""
_OTHERS: Final = bytes(set(range(256)) - set(b'[]{}"'))
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def check_json_depth(task: str, encoded: bytes) -> None:
    """Check that the payload of a task, which is valid JSON, is not nested too deep. Raises InvalidPayload."""
    if _is_deeper(encoded):
        raise InvalidPayload(
            f"payload of task {task!r} is nested deeper than {MAX_DEPTH} levels of objects and arrays, "
            "which is the most; store it elsewhere and give a reference, or flatten it"
        )


def read_object(task: str, encoded: bytes) -> dict[str, msgspec.Raw]:
    """Return the members of a payload, one JSON object that a caller has encoded.

    Raises InvalidPayload for anything else.
    """
    try:
        return _OBJECT.decode(encoded)
    except ENCODING_ERRORS as error:
        shown = show(bytes(encoded)[:200])
        raise InvalidPayload(
            f"payload of task {show(task)} must be one JSON object of keyword arguments, not {shown}: {error}"
        ) from None


def _is_deeper(encoded: bytes) -> bool:
    """Return whether valid JSON is nested deeper than MAX_DEPTH.

    Strings are removed, since they may hold brackets; then each round removes the innermost level.
    """
    # As many levels need as many brackets, and most payloads have a few.
    if encoded.count(b"{") + encoded.count(b"[") <= MAX_DEPTH:
        return False
    if b"\\" in encoded:
        encoded = encoded.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = encoded.translate(_ONE_KIND, _OTHERS)
    brackets = marks.replace(b'""', b"")
    if b'"' in brackets:
        brackets = b"".join(marks.split(b'"')[::2])
    for _ in range(MAX_DEPTH):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def find_non_finite(value: Any) -> float | None:
    """Return the first number in a value that JSON cannot hold, such as NaN, or None."""
    waiting = [msgspec.to_builtins(value, enc_hook=_skip_raw)]
    while waiting:
        each = waiting.pop()
        if isinstance(each, float) and not isfinite(each):
            return each
        if isinstance(each, dict | list | tuple | set | frozenset):
            waiting.extend(each.values() if isinstance(each, dict) else each)
    return None


def _skip_raw(_: Any) -> None:
    """Return None in place of a msgspec.Raw, which is JSON already."""
