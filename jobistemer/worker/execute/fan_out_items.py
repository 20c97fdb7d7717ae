"""The items of `ctx.map` as payloads, checked one by one where they are made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from jobistemer.core.checks import check_name
from jobistemer.core.errors import InvalidInput, InvalidPayload
from jobistemer.core.handlers.handler import Handler, encode_payload

MAX_ITEMS = 1_000_000


def resolve_task_name(task: Any) -> str:
    """The name of a task that was given as itself or by name. Raises InvalidName."""
    return check_name("task", task if isinstance(task, str) else getattr(task, "name", task))


def encode_items(name: str, handler: Handler | None, items: Iterable[Any]) -> Iterator[msgspec.Raw]:
    """The payload of each item. Raises InvalidPayload, PayloadTooLarge or InvalidInput."""
    for index, item in enumerate(items):
        if index >= MAX_ITEMS:
            raise InvalidInput(f"ctx.map was given more than {MAX_ITEMS} items: map pages of them, which map in turn")
        yield _encode_item(name, handler, index, item)


def _encode_item(name: str, handler: Handler | None, index: int, item: Any) -> msgspec.Raw:
    """An item is a mapping of keyword arguments, or the single argument."""
    try:
        if handler is None:
            if not isinstance(item, Mapping):
                raise InvalidPayload(f"this worker does not know task {name!r}, so items must be mappings of arguments")
            return encode_payload(name, item)
        return handler.encode_arguments(item) if isinstance(item, Mapping) else handler.encode((item,), {})
    except InvalidInput as error:
        raise type(error)(f"item {index} of ctx.map: {error}") from None
