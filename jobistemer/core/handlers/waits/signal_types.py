"""The types of the signals that a task declares: what is sent to one of its runs is checked by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidDefinition, InvalidPayload, InvalidStep
from jobistemer.core.handlers.step_journal import build_identity
from jobistemer.core.handlers.value_codec import DECLARATION_ERRORS, Decode, build_codec
from jobistemer.core.payload_json import ENCODING_ERRORS

SignalTypes = Mapping[str, Decode]
"""How the value of each signal is read from JSON, by name."""
NO_SIGNALS: Final[SignalTypes] = {}


def read_signal_types(task: str, given: Any) -> SignalTypes:
    """Return the decoders of declared signals. Raises InvalidDefinition."""
    if not isinstance(given, Mapping):
        raise InvalidDefinition(f"task {show(task)}: signals is {show(given)}, allowed are types by name")
    return {_read_name(task, name): _build_decoder(task, name, of_type) for name, of_type in given.items()}


def check_signal(types: SignalTypes, name: str, encoded: str) -> None:
    """Check the value of a signal against the type that its task declares. Raises InvalidPayload."""
    if (decode := types.get(name)) is None:
        return
    try:
        decode(encoded.encode())
    except ENCODING_ERRORS as error:
        raise InvalidPayload(
            f"the value of signal {show(name)} does not fit the type that its task declares: {error}"
        ) from None


def _read_name(task: str, name: Any) -> str:
    try:
        return build_identity(name)
    except InvalidStep as error:
        raise InvalidDefinition(f"task {show(task)}: signals: {error}") from None


def _build_decoder(task: str, name: str, of_type: Any) -> Decode:
    try:
        return build_codec(of_type)[0]
    except DECLARATION_ERRORS as error:
        raise InvalidDefinition(
            f"task {show(task)}: signal {show(name)} has type {of_type!r:.100}, which cannot be read from JSON: {error}"
        ) from None
