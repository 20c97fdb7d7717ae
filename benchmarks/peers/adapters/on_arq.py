"""arq: coroutines alone; cron jobs are part of the worker."""

from __future__ import annotations

import asyncio

import bench
from arq import create_pool, cron, func
from arq.connections import ArqRedis, RedisSettings

SETTINGS = RedisSettings.from_dsn(bench.URL)


async def coroutine(ctx: dict) -> None: ...


async def sleep_coroutine(ctx: dict) -> None:
    await asyncio.sleep(bench.MILLISECOND)


async def stamp(ctx: dict, sent: int) -> None:
    bench.mark(sent)


async def tick(ctx: dict) -> None:
    bench.mark("tick")


def schedules() -> tuple:
    when = {"second": set(range(60))} if bench.DUE_EVERY_SECOND else {"month": 1, "day": 1, "hour": 0, "minute": 0}
    return tuple(cron(tick, name=f"tick-{number}", microsecond=0, **when) for number in range(bench.SCHEDULES))


class Worker:
    functions = tuple(func(each, name=each.__name__) for each in (coroutine, sleep_coroutine, stamp))
    cron_jobs = schedules()
    redis_settings = SETTINGS
    if bench.TUNED:
        poll_delay = 0.01
        max_jobs = 100
        queue_read_limit = 1000
        keep_result = 0


pool: ArqRedis


async def connect() -> None:
    global pool  # noqa: PLW0603 - one connection pool for the producer, made inside its loop
    pool = await create_pool(SETTINGS)


async def send(task: str, *arguments: int) -> None:
    await pool.enqueue_job(task, *arguments)


def produce() -> None:
    bench.serve(send, connect=connect)
