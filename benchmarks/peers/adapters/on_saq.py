"""saq: its Redis queue, and cron jobs as part of the worker."""

from __future__ import annotations

import asyncio
import time

import bench
from saq import CronJob, Queue

queue = Queue.from_url(bench.URL)
OPTIONS = {"ttl": -1} if bench.TUNED else {}


def plain(ctx: dict) -> None: ...


async def coroutine(ctx: dict) -> None: ...


def sleep(ctx: dict) -> None:
    time.sleep(bench.MILLISECOND)


async def sleep_coroutine(ctx: dict) -> None:
    await asyncio.sleep(bench.MILLISECOND)


async def stamp(ctx: dict, *, sent: int) -> None:
    bench.mark(sent)


def scheduled(number: int) -> CronJob:
    async def tick(ctx: dict) -> None:
        bench.mark("tick")

    tick.__qualname__ = f"tick{number}"
    return CronJob(tick, cron="* * * * * */1" if bench.DUE_EVERY_SECOND else "0 0 1 1 *")


settings = {
    "queue": queue,
    "functions": [plain, coroutine, sleep, sleep_coroutine, stamp],
    "cron_jobs": [scheduled(number) for number in range(bench.SCHEDULES)],
    **({"concurrency": 100} if bench.TUNED else {}),
}


async def send(task: str, *arguments: int) -> None:
    await queue.enqueue(task, **OPTIONS, **({"sent": arguments[0]} if arguments else {}))


def produce() -> None:
    bench.serve(send, connect=queue.connect)
