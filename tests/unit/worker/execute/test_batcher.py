"""Requests that come together are sent together, and each gets its own reply."""

from __future__ import annotations

import asyncio
import threading
from queue import SimpleQueue

import pytest

from jobistemer.core.errors import JobistemerError, ServerRefused
from jobistemer.worker.execute.batcher import Batcher


class Server:
    """Answers when it is let; keeps what was sent together."""

    def __init__(self) -> None:
        self.sent: SimpleQueue[list[int]] = SimpleQueue()
        self.gate = threading.Semaphore(0)

    def send(self, requests: list[int]) -> list[int | Exception]:
        self.sent.put(requests)
        assert self.gate.acquire(timeout=10)
        return [ServerRefused(f"{each} is refused") if each < 0 else each * 2 for each in requests]


@pytest.fixture
def server():
    return Server()


def test_coroutines_that_ask_while_a_request_is_under_way_go_together_with_the_next_one(server):
    batcher = Batcher(server.send, 100)

    async def call_all() -> list[int]:
        first = asyncio.create_task(batcher.call_async(1))
        assert await asyncio.to_thread(server.sent.get, timeout=10) == [1]
        others = [asyncio.create_task(batcher.call_async(each)) for each in range(2, 6)]
        await asyncio.sleep(0)
        server.gate.release(2)
        return await asyncio.gather(first, *others)

    assert asyncio.run(call_all()) == [2, 4, 6, 8, 10]
    assert server.sent.get(timeout=10) == [2, 3, 4, 5]


def test_no_more_than_the_most_go_together(server):
    batcher = Batcher(server.send, 2)
    batcher.add(0)
    assert server.sent.get(timeout=10) == [0]
    for each in (1, 2, 3):
        batcher.add(each)
    server.gate.release(3)
    assert [server.sent.get(timeout=10) for _ in range(2)] == [[1, 2], [3]]


def test_an_error_is_raised_where_its_request_was_asked(server):
    batcher = Batcher(server.send, 100)
    server.gate.release(3)

    async def call_both() -> list[int | BaseException]:
        return await asyncio.gather(batcher.call_async(-1), batcher.call_async(4), return_exceptions=True)

    refused, answer = asyncio.run(call_both())
    assert (type(refused), answer) == (ServerRefused, 8)
    with pytest.raises(ServerRefused, match="-7 is refused"):
        batcher.call(-7)


def test_a_loop_that_has_ended_and_a_coroutine_that_was_cancelled_hold_up_no_one(server):
    batcher = Batcher(server.send, 100)

    async def call_and_leave() -> None:
        task = asyncio.create_task(batcher.call_async(1))
        await asyncio.to_thread(server.sent.get, timeout=10)
        task.cancel()

    asyncio.run(call_and_leave())
    server.gate.release(2)
    assert batcher.call(5) == 10


@pytest.mark.parametrize("replies", [ValueError("a bug"), [1]])
def test_a_send_that_fails_fails_its_requests_and_the_next_ones_are_sent(replies):
    planned = iter([replies, [10]])

    def send(requests: list[int]) -> list[int | Exception]:
        found = next(planned)
        if isinstance(found, Exception):
            raise found
        return found

    batcher = Batcher(send, 100)

    async def call_two() -> list[BaseException | int]:
        return await asyncio.gather(batcher.call_async(1), batcher.call_async(2), return_exceptions=True)

    assert {type(each) for each in asyncio.run(call_two())} == {JobistemerError}
    assert batcher.call(3) == 10
