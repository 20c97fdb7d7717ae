"""Questions that come together are sent together, and each gets its own answer."""

from __future__ import annotations

import asyncio
import threading
from queue import SimpleQueue

import pytest

from jobistemer.core.errors import ServerRefused
from jobistemer.worker.execute.gatherer import Gatherer


class Server:
    """Answers when it is let; keeps what was sent together."""

    def __init__(self) -> None:
        self.sent: SimpleQueue[list[int]] = SimpleQueue()
        self.gate = threading.Semaphore(0)

    def send(self, questions: list[int]) -> list[int | Exception]:
        self.sent.put(questions)
        assert self.gate.acquire(timeout=10)
        return [ServerRefused(f"{each} is refused") if each < 0 else each * 2 for each in questions]


@pytest.fixture
def server():
    return Server()


def test_coroutines_that_ask_while_a_question_is_under_way_go_together_with_the_next_one(server):
    gatherer = Gatherer(server.send, 100)

    async def ask_all() -> list[int]:
        first = asyncio.create_task(gatherer.ask_async(1))
        assert await asyncio.to_thread(server.sent.get, timeout=10) == [1]
        others = [asyncio.create_task(gatherer.ask_async(each)) for each in range(2, 6)]
        await asyncio.sleep(0)
        server.gate.release(2)
        return await asyncio.gather(first, *others)

    assert asyncio.run(ask_all()) == [2, 4, 6, 8, 10]
    assert server.sent.get(timeout=10) == [2, 3, 4, 5]


def test_no_more_than_the_most_go_together(server):
    gatherer = Gatherer(server.send, 2)
    gatherer.add(0)
    assert server.sent.get(timeout=10) == [0]
    for each in (1, 2, 3):
        gatherer.add(each)
    server.gate.release(3)
    assert [server.sent.get(timeout=10) for _ in range(2)] == [[1, 2], [3]]


def test_an_error_is_raised_where_its_question_was_asked(server):
    gatherer = Gatherer(server.send, 100)
    server.gate.release(3)

    async def ask_both() -> list[int | BaseException]:
        return await asyncio.gather(gatherer.ask_async(-1), gatherer.ask_async(4), return_exceptions=True)

    refused, answer = asyncio.run(ask_both())
    assert (type(refused), answer) == (ServerRefused, 8)
    with pytest.raises(ServerRefused, match="-7 is refused"):
        gatherer.ask(-7)


def test_a_loop_that_has_ended_and_a_coroutine_that_was_cancelled_hold_up_no_one(server):
    gatherer = Gatherer(server.send, 100)

    async def ask_and_leave() -> None:
        task = asyncio.create_task(gatherer.ask_async(1))
        await asyncio.to_thread(server.sent.get, timeout=10)
        task.cancel()

    asyncio.run(ask_and_leave())
    server.gate.release(2)
    assert gatherer.ask(5) == 10
