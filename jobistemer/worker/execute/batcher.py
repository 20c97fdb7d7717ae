"""A batcher: sends the requests of concurrent handlers together, in one round trip.

A thread takes the requests that are there and sends them; those that come meanwhile go with the next batch.

Threads that wait for a reply are woken in turn: each wakes the next one. Woken all at once they would queue for the
interpreter, and each would be put to sleep a second time. The thread that sends is woken behind the last of them. So it
finds the requests of all of them, and sends sixteen together where it would send seven. A thread that is alone sends
for itself, and no other thread is woken.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from queue import Empty, SimpleQueue
from typing import Generic, NamedTuple, TypeVar

from jobistemer.core.errors import JobistemerError
from jobistemer.runtime.repeat import start_thread

Q = TypeVar("Q")
A = TypeVar("A")

WAIT_S = 0.5
"""How often a handler that waits executes Python, so that it can be stopped."""
TURN_S = 0.005
"""How long the threads that were answered may take to wake each other; then all of them are woken."""


class _Item(NamedTuple, Generic[Q, A]):
    """A request, and who waits for its reply: a thread, a coroutine of an event loop, or nobody."""

    request: Q
    settle: Callable[[A | Exception], None] | None = None
    loop: asyncio.AbstractEventLoop | None = None
    thread: WaitingThread[A] | None = None


class WaitingThread(Generic[A]):
    """A thread that waits for its reply, and wakes the thread behind it when it has got it or was stopped."""

    __slots__ = ("_awake", "_replies", "has_left", "wake_next")

    def __init__(self) -> None:
        self._awake = threading.Lock()
        self._awake.acquire()
        self._replies: list[A | Exception] = []
        self.has_left = False
        self.wake_next: Callable[[], None] | None = None

    def settle(self, reply: A | Exception) -> None:
        """Keep the reply, for `wait` to return it."""
        self._replies.append(reply)

    def wake(self) -> None:
        """Wake the thread; it may be awake."""
        with suppress(RuntimeError):
            self._awake.release()

    def wait(self) -> A | Exception:
        """Wait for the reply and return it."""
        try:
            # Not without a limit: a thread that never executes Python cannot be stopped.
            while not self._awake.acquire(timeout=WAIT_S):
                pass
            return self._replies[0]
        finally:
            self.has_left = True
            if self.wake_next is not None:
                self.wake_next()


class Batcher(Generic[Q, A]):
    """A thread that sends requests together. It never ends.

    send: returns a reply for each request, or an exception, which is raised where the request was made. most: how many
    requests are sent at a time.
    """

    def __init__(self, send: Callable[[list[Q]], list[A | Exception]], most: int) -> None:
        self._send = send
        self._most = most
        self._waiting: SimpleQueue[_Item[Q, A]] = SimpleQueue()
        self._lock = threading.Lock()
        # Requests without a reply; and how many went with the last send, by which a thread knows that it is alone.
        self._open = 0
        self._went_together = 1
        start_thread(self._work, "batcher")

    def add(self, request: Q) -> None:
        """Send a request whose reply concerns no handler."""
        self._put(_Item(request))

    def call(self, request: Q) -> A:
        """Send a request and wait for its reply, in a thread."""
        with self._lock:
            # Behind an open request nobody sends by itself: it may be an earlier one of the same handler.
            is_alone = not self._open and self._went_together == 1
            self._open += is_alone
        if is_alone:
            try:
                return unwrap(self._send_all([request])[0])
            except BaseException as error:
                # Stopped while it sent: what it had to send is sent all the same. A second send of it is recognised.
                if not isinstance(error, Exception):
                    self.add(request)
                raise
            finally:
                self._close(1)
        thread: WaitingThread[A] = WaitingThread()
        self._put(_Item(request, thread.settle, thread=thread))
        return unwrap(thread.wait())

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

        self._put(_Item(request, settle, loop))
        return replied

    def _put(self, item: _Item[Q, A]) -> None:
        with self._lock:
            self._open += 1
        self._waiting.put(item)

    def _close(self, count: int) -> None:
        with self._lock:
            self._open -= count
            self._went_together = count

    def _work(self) -> None:
        while True:
            items = [self._waiting.get()]
            with suppress(Empty):
                while len(items) < self._most:
                    items.append(self._waiting.get_nowait())
            replies = self._send_all([each.request for each in items])
            self._close(len(items))
            _settle(list(zip(items, replies, strict=True)))
            wake_in_turn([each.thread for each in items if each.thread is not None and not each.thread.has_left])

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


def wake_in_turn(threads: list[WaitingThread[A]]) -> None:
    """Wake the first thread, which wakes the next one and so on; several are all awake on return."""
    if len(threads) < 2:
        for each in threads:
            each.wake()
        return
    all_awake = threading.Event()
    for each, following in pairwise(threads):
        each.wake_next = following.wake
    threads[-1].wake_next = all_awake.set
    threads[0].wake()
    if not all_awake.wait(TURN_S):
        # One was stopped before it had woken the next one, or another thread keeps the interpreter to itself.
        for each in threads:
            each.wake()


def unwrap(reply: A | Exception) -> A:
    """Return a reply, or raise it when it is an exception."""
    if isinstance(reply, Exception):
        raise reply
    return reply
