"""Stamping: what hooks around a call add to the headers of its run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

import msgspec

from jobistemer.app.request import checked_texts
from jobistemer.core.handlers.hooks import Enqueueing, Stamp
from jobistemer.core.runs.message import Message

Stamping = Callable[[Message], Message]


@contextmanager
def stamping(hooks: Iterable[Enqueueing]) -> Iterator[Stamping]:
    """Enter the hooks; what is given adds their headers to a message. Raises what they raise."""
    with ExitStack() as stack:
        stamps = [stack.enter_context(hook()) for hook in hooks]
        yield lambda message: _stamped(message, stamps)


def _stamped(message: Message, stamps: list[Stamp]) -> Message:
    headers: dict[str, str] = {}
    for stamp in stamps:
        headers |= stamp(message)
    if not headers:
        return message
    return msgspec.structs.replace(message, headers=checked_texts("headers", {**headers, **message.headers}))
