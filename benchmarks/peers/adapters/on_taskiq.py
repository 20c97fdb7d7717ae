"""taskiq with the streams of taskiq-redis; its scheduler knows cron by the minute and intervals of seconds."""

from __future__ import annotations

import asyncio
import time

import bench
from taskiq import TaskiqScheduler
from taskiq.schedule_sources import LabelScheduleSource
from taskiq_redis import RedisStreamBroker

broker = RedisStreamBroker(bench.URL, **({"xread_count": 1000} if bench.TUNED else {}))


@broker.task(task_name="plain")
def plain() -> None: ...


@broker.task(task_name="coroutine")
async def coroutine() -> None: ...


@broker.task(task_name="sleep")
def sleep() -> None:
    time.sleep(bench.MILLISECOND)


@broker.task(task_name="sleep_coroutine")
async def sleep_coroutine() -> None:
    await asyncio.sleep(bench.MILLISECOND)


@broker.task(task_name="stamp")
async def stamp(sent: int) -> None:
    bench.mark(sent)


async def tick() -> None:
    bench.mark("tick")


WHEN = {"interval": 1} if bench.DUE_EVERY_SECOND else {"cron": "0 0 1 1 *"}
for number in range(bench.SCHEDULES):
    broker.register_task(tick, task_name=f"tick-{number}", schedule=[WHEN])

scheduler = TaskiqScheduler(broker, [LabelScheduleSource(broker)])
TASKS = {"plain": plain, "coroutine": coroutine, "sleep": sleep, "sleep_coroutine": sleep_coroutine, "stamp": stamp}


async def send(task: str, *arguments: int) -> None:
    await TASKS[task].kiq(*arguments)


def produce() -> None:
    bench.serve(send, connect=broker.startup)
