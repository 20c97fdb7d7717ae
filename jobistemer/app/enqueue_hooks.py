"""Stamping: what hooks around a call add to the headers of its run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

import msgspec

from jobistemer.app.request import check_texts
from jobistemer.core.handlers.hooks import EnqueueHook, HeaderSource
from jobistemer.core.runs.message import Message

AddHeaders = Callable[[Message], Message]


@contextmanager
def enter_enqueue_hooks(hooks: Iterable[EnqueueHook]) -> Iterator[AddHeaders]:
    """Enter the hooks; what is given adds their headers to a message. Raises what they raise."""
    with ExitStack() as stack:
        stamps = [stack.enter_context(hook()) for hook in hooks]
        yield lambda message: _add_headers(message, stamps)


def _add_headers(message: Message, stamps: list[HeaderSource]) -> Message:
    headers: dict[str, str] = {}
    for stamp in stamps:
        headers |= stamp(message)
    if not headers:
        return message
    return msgspec.structs.replace(message, headers=check_texts("headers", {**headers, **message.headers}))
