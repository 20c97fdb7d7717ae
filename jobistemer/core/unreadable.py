"""What stands on the server and cannot be read: one value for all kinds, and the one function that makes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from jobistemer.core.errors import JobistemerError

Value = TypeVar("Value")

READ_ERRORS: Final = (
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    RecursionError,
    msgspec.MsgspecError,
    JobistemerError,
)
"""What the decoding of odd bytes raises: wrong text, JSON, numbers or types, and definitions that are refused."""
MAX_REASON_CHARS: Final = 300
LAST_MS: Final = 253_370_764_800_000
"""The last instant that a score stands for, in milliseconds: the year 9999."""


class Unreadable(msgspec.Struct, frozen=True):
    """Something that cannot be read.

    key: where it stands. reason: why it cannot be read. member: of a set, the member; score: of a sorted set, its score
    as the server wrote it.
    """

    key: str
    reason: str
    member: bytes = b""
    score: bytes = b""

    def __str__(self) -> str:
        shown = f" {to_text(self.member)!r}" if self.member else ""
        return f"{self.key}{shown}: {self.reason}"


def read_value(key: str, decode: Callable[..., Value], *raw: Any) -> Value | Unreadable:
    """Decode what stands under a key; returns `Unreadable` with the reason when that fails."""
    try:
        return decode(*raw)
    except READ_ERRORS as error:
        return Unreadable(key, explain(error))


def explain(error: BaseException) -> str:
    """Return the reason for people: the kind of an error where its text alone does not say what is wrong."""
    text = str(error).partition("\n")[0][:MAX_REASON_CHARS]
    kind = type(error).__name__
    return text if isinstance(error, JobistemerError | msgspec.MsgspecError) and text else f"{kind}: {text}"


def to_text(raw: bytes) -> str:
    """Return bytes as a text for people, whatever they are: bytes that are no UTF-8 are shown as escapes."""
    return raw.decode(errors="backslashreplace")


def to_ms(score: bytes | float) -> int:
    """Return the score of a sorted set as whole milliseconds, within 0 and LAST_MS, also where it is infinite."""
    return round(min(max(float(score), 0.0), LAST_MS))
