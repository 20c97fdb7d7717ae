"""The answers of `--json`: without secrets of failures, headers and metadata, and without control characters."""

from __future__ import annotations

from typing import Any

import msgspec

from jobistemer.cli.answer_times import to_answer
from jobistemer.core.safe_text import escape_json, hide_named, hide_secrets


def encode_json(value: Any) -> str:
    """Encode an answer as JSON. Bytes of a stored payload or result that are no UTF-8 become U+FFFD."""
    return escape_json(msgspec.json.encode(_hide(to_answer(value))).decode(errors="replace"))


def _hide(value: Any, name: str = "") -> Any:
    if isinstance(value, str):
        return hide_secrets(value)
    if isinstance(value, dict):
        # A payload is what a script asks for; it comes as it is stored.
        return hide_named(value) if name in ("headers", "metadata") else {key: _hide(value[key], key) for key in value}
    return [_hide(each) for each in value] if isinstance(value, list | tuple) else value
