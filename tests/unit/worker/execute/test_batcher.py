"""Requests that come together are sent together, and each gets its own reply."""

from __future__ import annotations

import asyncio
import threading
from queue import SimpleQueue

import pytest

from jobistemer.core.errors import JobistemerError, ServerRefused
from jobistemer.worker.execute.batcher import Batcher, WaitingThread, wake_in_turn
from jobistemer.worker.slots.threads import Stopped, raise_stopped
from tests.support.worker_processes import wait_until


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


def start_callers(batcher: Batcher, requests: list[int]) -> SimpleQueue[tuple[int, object]]:
    """Each request by a thread of its own; what came of it."""
    ended: SimpleQueue[tuple[int, object]] = SimpleQueue()

    def call(request: int) -> None:
        try:
            ended.put((request, batcher.call(request)))
        except BaseException as error:
            ended.put((request, type(error)))

    for each in requests:
        threading.Thread(target=call, args=(each,), daemon=True).start()
    return ended


def test_a_thread_that_is_alone_sends_for_itself(server):
    senders = []

    def send(requests: list[int]) -> list[int | Exception]:
        senders.append(threading.current_thread())
        return server.send(requests)

    batcher = Batcher(send, 100)
    server.gate.release(2)
    assert [batcher.call(3), batcher.call(4)] == [6, 8]
    assert senders == [threading.current_thread()] * 2


def test_what_a_thread_sends_for_itself_is_sent_although_the_thread_is_stopped():
    is_back, asked, sent, ended = threading.Event(), threading.Event(), SimpleQueue(), SimpleQueue()

    def send(requests: list[str]) -> list[str | Exception]:
        # As a recorder does while its server is away: it asks again and again.
        asked.set()
        while not is_back.wait(0.01):
            pass
        sent.put(requests)
        return list(requests)

    batcher = Batcher(send, 100)

    def call() -> None:
        try:
            ended.put(batcher.call("charge"))
        except Stopped:
            ended.put(Stopped)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    assert asked.wait(10)
    raise_stopped(thread.ident)
    assert ended.get(timeout=10) is Stopped
    is_back.set()
    assert sent.get(timeout=10) == ["charge"]


def test_nothing_is_sent_past_a_request_that_has_no_reply(server):
    """It may be an earlier record of the same step, such as its cursor."""
    batcher = Batcher(server.send, 100)
    batcher.add(1)
    assert server.sent.get(timeout=10) == [1]
    ended = start_callers(batcher, [2])
    wait_until(lambda: batcher._waiting.qsize() == 1, "it waits")
    server.gate.release(2)
    assert server.sent.get(timeout=10) == [2]
    assert ended.get(timeout=10) == (2, 4)


def test_threads_that_are_answered_together_wake_each_other(server):
    batcher = Batcher(server.send, 100)
    batcher.add(0)
    assert server.sent.get(timeout=10) == [0]
    ended = start_callers(batcher, [-1, 2, 3, 4])
    wait_until(lambda: batcher._waiting.qsize() == 4, "all of them wait")
    server.gate.release(2)
    found = dict(ended.get(timeout=10) for _ in range(4))
    assert found == {-1: ServerRefused, 2: 4, 3: 6, 4: 8}
    assert sorted(server.sent.get(timeout=10)) == [-1, 2, 3, 4]


def test_a_thread_that_was_stopped_before_it_woke_the_next_one_holds_up_no_one():
    stopped, others = WaitingThread[int](), [WaitingThread[int]() for _ in range(3)]
    for each in others:
        each.settle(7)
    # Given one that never wakes anybody: its thread has ended
    wake_in_turn([stopped, *others])
    assert [each.wait() for each in others] == [7, 7, 7]


def test_a_thread_that_is_stopped_while_it_waits_wakes_the_next_one():
    first, second = WaitingThread[int](), WaitingThread[int]()
    ended: SimpleQueue[object] = SimpleQueue()

    def wait() -> None:
        try:
            ended.put(first.wait())
        except Stopped as error:
            ended.put(error)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    first.wake_next = second.wake
    second.settle(5)
    raise_stopped(thread.ident)
    assert isinstance(ended.get(timeout=10), Stopped)
    assert (first.has_left, second.wait()) == (True, 5)
