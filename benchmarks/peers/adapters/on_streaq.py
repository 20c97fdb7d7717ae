"""streaq: a task queue on Redis streams; cron tasks are part of the worker."""

from __future__ import annotations

import asyncio
import time

import bench
from streaq import Worker

worker = Worker(
    redis_url=bench.URL,
    **({"concurrency": 100, "prefetch": 400, "anyio_kwargs": {"use_uvloop": True}} if bench.TUNED else {}),
)
OPTIONS = {"ttl": 0, "silent": True} if bench.TUNED else {}


@worker.task(**OPTIONS)
def plain() -> None: ...


@worker.task(**OPTIONS)
async def coroutine() -> None: ...


@worker.task(**OPTIONS)
def sleep() -> None:
    time.sleep(bench.MILLISECOND)


@worker.task(**OPTIONS)
async def sleep_coroutine() -> None:
    await asyncio.sleep(bench.MILLISECOND)


@worker.task(**OPTIONS)
async def stamp(sent: int) -> None:
    bench.mark(sent)


async def tick() -> None:
    bench.mark("tick")


for number in range(bench.SCHEDULES):
    worker.cron("* * * * * * *" if bench.DUE_EVERY_SECOND else "0 0 1 1 *", name=f"tick-{number}")(tick)

TASKS = {"plain": plain, "coroutine": coroutine, "sleep": sleep, "sleep_coroutine": sleep_coroutine, "stamp": stamp}


async def connect() -> None:
    await worker.__aenter__()


async def send(task: str, *arguments: int) -> None:
    await TASKS[task].enqueue(*arguments)


async def send_many(task: str, count: int) -> None:
    for start in range(0, count, 1000):
        await worker.enqueue_many([TASKS[task].enqueue() for _ in range(min(1000, count - start))])


def produce() -> None:
    bench.serve(send, send_many, connect)
