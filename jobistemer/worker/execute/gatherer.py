"""A gatherer: sends what concurrent handlers ask for together, in one round trip.

A thread takes what is there and sends it; what comes meanwhile goes with the next one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Generic, NamedTuple, TypeVar

from jobistemer.runtime.repeat import start_thread

Q = TypeVar("Q")
A = TypeVar("A")

WAIT_S = 0.5
"""How often a handler that waits executes Python, so that it can be stopped."""


class _Item(NamedTuple, Generic[Q, A]):
    """A question, and who waits for the answer: a thread, a coroutine of an event loop, or nobody."""

    question: Q
    settle: Callable[[A | Exception], None] | None = None
    loop: asyncio.AbstractEventLoop | None = None


class Gatherer(Generic[Q, A]):
    """A thread that sends questions together. It never ends.

    send: returns an answer for each question, or an exception, which is raised where the question was asked; it raises
    nothing itself. most: how many questions are sent at a time.
    """

    def __init__(self, send: Callable[[list[Q]], list[A | Exception]], most: int) -> None:
        self._send = send
        self._most = most
        self._waiting: SimpleQueue[_Item[Q, A]] = SimpleQueue()
        start_thread(self._work, "gatherer")

    def add(self, question: Q) -> None:
        """Send a question whose answer concerns no handler."""
        self._waiting.put(_Item(question))

    def ask(self, question: Q) -> A:
        """Send a question and wait for its answer, in a thread."""
        answered = threading.Lock()
        answered.acquire()
        answers: list[A | Exception] = []

        def settle(answer: A | Exception) -> None:
            answers.append(answer)
            answered.release()

        self._waiting.put(_Item(question, settle))
        # Not without a limit: a thread that never executes Python cannot be stopped.
        while not answered.acquire(timeout=WAIT_S):
            pass
        return unwrap(answers[0])

    async def ask_async(self, question: Q) -> A:
        """Send a question and await its answer."""
        return unwrap(await self.submit(question))

    def submit(self, question: Q) -> asyncio.Future[A | Exception]:
        """Send a question of a coroutine. Returns the future answer, or exception, for `unwrap`."""
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[A | Exception] = loop.create_future()

        def settle(answer: A | Exception) -> None:
            if not answered.done():
                answered.set_result(answer)

        self._waiting.put(_Item(question, settle, loop))
        return answered

    def _work(self) -> None:
        while True:
            items = [self._waiting.get()]
            with suppress(Empty):
                while len(items) < self._most:
                    items.append(self._waiting.get_nowait())
            answers = self._send([each.question for each in items])
            _settle(list(zip(items, answers, strict=True)))


def _settle(answered: list[tuple[_Item[Q, A], A | Exception]]) -> None:
    """Hand out answers: those of one event loop together, since each call into another thread's loop wakes it."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Item[Q, A], A | Exception]]] = {}
    for item, answer in answered:
        if item.loop is not None:
            by_loop.setdefault(item.loop, []).append((item, answer))
        elif item.settle is not None:
            item.settle(answer)
    for loop, of_loop in by_loop.items():
        # The loop may be closed by now: then nobody waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle_here, of_loop)


def _settle_here(answered: list[tuple[_Item[Q, A], A | Exception]]) -> None:
    for item, answer in answered:
        if item.settle is not None:
            item.settle(answer)


def unwrap(answer: A | Exception) -> A:
    """Return an answer, or raise it when it is an exception."""
    if isinstance(answer, Exception):
        raise answer
    return answer
