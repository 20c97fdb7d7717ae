"""A batcher: sends the requests of concurrent handlers together, in one round trip.

A thread takes the requests that are there and sends them; those that come meanwhile go with the next batch.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Generic, NamedTuple, TypeVar

from jobistemer.core.errors import JobistemerError
from jobistemer.runtime.repeat import start_thread

Q = TypeVar("Q")
A = TypeVar("A")

WAIT_S = 0.5
"""How often a handler that waits executes Python, so that it can be stopped."""


class _Item(NamedTuple, Generic[Q, A]):
    """A request, and who waits for its reply: a thread, a coroutine of an event loop, or nobody."""

    request: Q
    settle: Callable[[A | Exception], None] | None = None
    loop: asyncio.AbstractEventLoop | None = None


class Batcher(Generic[Q, A]):
    """A thread that sends requests together. It never ends.

    send: returns a reply for each request, or an exception, which is raised where the request was made. most: how many
    requests are sent at a time.
    """

    def __init__(self, send: Callable[[list[Q]], list[A | Exception]], most: int) -> None:
        self._send = send
        self._most = most
        self._waiting: SimpleQueue[_Item[Q, A]] = SimpleQueue()
        start_thread(self._work, "batcher")

    def add(self, request: Q) -> None:
        """Send a request whose reply concerns no handler."""
        self._waiting.put(_Item(request))

    def call(self, request: Q) -> A:
        """Send a request and wait for its reply, in a thread."""
        replied = threading.Lock()
        replied.acquire()
        replies: list[A | Exception] = []

        def settle(reply: A | Exception) -> None:
            replies.append(reply)
            replied.release()

        self._waiting.put(_Item(request, settle))
        # Not without a limit: a thread that never executes Python cannot be stopped.
        while not replied.acquire(timeout=WAIT_S):
            pass
        return unwrap(replies[0])

    async def call_async(self, request: Q) -> A:
        """Send a request and await its reply."""
        return unwrap(await self.submit(request))

    def submit(self, request: Q) -> asyncio.Future[A | Exception]:
        """Send a request of a coroutine. Returns the future reply, or exception, for `unwrap`."""
        loop = asyncio.get_running_loop()
        replied: asyncio.Future[A | Exception] = loop.create_future()

        def settle(reply: A | Exception) -> None:
            if not replied.done():
                replied.set_result(reply)

        self._waiting.put(_Item(request, settle, loop))
        return replied

    def _work(self) -> None:
        while True:
            items = [self._waiting.get()]
            with suppress(Empty):
                while len(items) < self._most:
                    items.append(self._waiting.get_nowait())
            _settle(list(zip(items, self._send_all([each.request for each in items]), strict=True)))

    def _send_all(self, requests: list[Q]) -> list[A | Exception]:
        # A handler that waits must get a reply, and the requests after these must be sent, whatever goes wrong here.
        try:
            replies = self._send(requests)
        except Exception as error:  # noqa: BLE001 - see above
            refusal = (
                error if isinstance(error, JobistemerError) else JobistemerError(f"it could not be sent: {error!r}")
            )
            return [refusal] * len(requests)
        if len(replies) != len(requests):
            return [JobistemerError(f"{len(replies)} replies have come for {len(requests)} requests")] * len(requests)
        return replies


def _settle(replied: list[tuple[_Item[Q, A], A | Exception]]) -> None:
    """Hand out replies: those of one event loop together, since each call into another thread's loop wakes it."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Item[Q, A], A | Exception]]] = {}
    for item, reply in replied:
        if item.loop is not None:
            by_loop.setdefault(item.loop, []).append((item, reply))
        elif item.settle is not None:
            item.settle(reply)
    for loop, of_loop in by_loop.items():
        # The loop may be closed by now: then no coroutine waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle_here, of_loop)


def _settle_here(replied: list[tuple[_Item[Q, A], A | Exception]]) -> None:
    for item, reply in replied:
        if item.settle is not None:
            item.settle(reply)


def unwrap(reply: A | Exception) -> A:
    """Return a reply, or raise it when it is an exception."""
    if isinstance(reply, Exception):
        raise reply
    return reply
