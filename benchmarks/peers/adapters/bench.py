"""What the adapters share: their settings, the marks a task leaves, and the producer's side of the conversation.

Runs inside each peer's own environment, so it uses the standard library alone. A producer reads one JSON command a line
and answers each with one JSON line.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

URL = os.environ["BENCH_URL"]
TUNED = os.environ.get("BENCH_SETTING") == "tuned"
SCHEDULES = int(os.environ.get("BENCH_SCHEDULES", "0"))
DUE_EVERY_SECOND = os.environ.get("BENCH_DUE", "second") == "second"
CRON = "* * * * * *" if DUE_EVERY_SECOND else "0 0 1 1 *"
"""With seconds first for those that know them; once a year for schedules that are not due."""
INTERVAL_S = 1 if DUE_EVERY_SECOND else 30 * 24 * 3600
MILLISECOND = 0.001

_marks = os.open(os.environ["BENCH_MARKS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

Send = Callable[..., Any]
SendMany = Callable[[str, int], Any]


def mark(label: object) -> None:
    """Leave a line that says what started when, by the monotonic and the wall clock."""
    os.write(_marks, b"%s %d %d\n" % (str(label).encode(), time.monotonic_ns(), time.time_ns()))


def serve(
    send: Send,
    send_many: SendMany | None = None,
    connect: Callable[[], Awaitable[None]] | None = None,
    register: Callable[[int], Any] | None = None,
) -> None:
    """Answer the harness: `send(task, *arguments)` enqueues one run, `send_many(task, count)` is the peer's bulk call."""
    asyncio.run(_Producer(send, send_many, register).answer(connect))


class _Producer:
    def __init__(self, send: Send, send_many: SendMany | None, register: Callable[[int], Any] | None) -> None:
        self._send, self._send_many, self._register = send, send_many, register
        self._awaits = inspect.iscoroutinefunction(send)

    async def answer(self, connect: Callable[[], Awaitable[None]] | None) -> None:
        if connect is not None:
            await connect()
        print(json.dumps({"ready": True}), flush=True)
        for line in sys.stdin:
            command = json.loads(line)
            way = getattr(self, command.pop("do"))
            cpu, began = time.process_time(), time.perf_counter()
            await way(**command)
            seconds = time.perf_counter() - began
            print(json.dumps({"seconds": seconds, "cpu": time.process_time() - cpu}), flush=True)

    async def single(self, task: str, count: int) -> None:
        """One after another, each when the one before is stored."""
        if self._awaits:
            for _ in range(count):
                await self._send(task)
        else:
            for _ in range(count):
                self._send(task)

    async def bulk(self, task: str, count: int) -> None:
        assert self._send_many is not None, "no bulk call"
        await _await_if_needed(self._send_many(task, count))

    async def fill(self, task: str, count: int) -> None:
        """A backlog, in the quickest way there is; not measured."""
        if self._send_many is not None:
            await self.bulk(task, count)
        elif self._awaits:
            for start in range(0, count, 200):
                await asyncio.gather(*(self._send(task) for _ in range(min(200, count - start))))
        else:
            await self.single(task, count)

    async def paced(self, count: int, per_s: float) -> None:
        """Runs that say when they were sent, at even intervals."""
        first = time.monotonic() + 0.05
        for number in range(count):
            await asyncio.sleep(max(0.0, first + number / per_s - time.monotonic()))
            await _await_if_needed(self._send("stamp", time.monotonic_ns()))

    async def register(self, count: int) -> None:
        if self._register is not None:
            await _await_if_needed(self._register(count))


async def _await_if_needed(value: Any) -> None:
    if inspect.isawaitable(value):
        await value
