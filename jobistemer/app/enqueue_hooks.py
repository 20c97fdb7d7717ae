"""Hooks around a call that is enqueued: they add headers to its run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

import msgspec

from jobistemer.app.request import check_texts
from jobistemer.core.handlers.hooks import EnqueueHook, HeaderSource
from jobistemer.core.runs.message import Message

AddHeaders = Callable[[Message], Message]
"""Returns a message with the headers that hooks give for it."""


@contextmanager
def enter_enqueue_hooks(hooks: Iterable[EnqueueHook]) -> Iterator[AddHeaders]:
    """Enter the hooks; the context's value adds their headers to a message. Raises what the hooks raise."""
    with ExitStack() as stack:
        sources = [stack.enter_context(hook()) for hook in hooks]
        yield lambda message: _add_headers(message, sources)


def _add_headers(message: Message, sources: list[HeaderSource]) -> Message:
    headers: dict[str, str] = {}
    for source in sources:
        headers |= source(message)
    if not headers:
        return message
    # The headers that the call itself was given win.
    return msgspec.structs.replace(message, headers=check_texts("headers", {**headers, **message.headers}))
