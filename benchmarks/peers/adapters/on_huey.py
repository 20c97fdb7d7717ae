"""Huey with Redis. Its periodic tasks know minutes and nothing finer."""

from __future__ import annotations

import time

import bench
from huey import RedisHuey, crontab

huey = RedisHuey("bench", url=bench.URL, **({"results": False} if bench.TUNED else {}))


@huey.task()
def plain() -> None: ...


@huey.task()
def sleep() -> None:
    time.sleep(bench.MILLISECOND)


@huey.task()
def stamp(sent: int) -> None:
    bench.mark(sent)


def tick() -> None:
    bench.mark("tick")


for number in range(bench.SCHEDULES):
    huey.periodic_task(crontab(minute="0", hour="0", day="1", month="1"), name=f"tick-{number}")(tick)

TASKS = {"plain": plain, "sleep": sleep, "stamp": stamp}


def send(task: str, *arguments: int) -> None:
    TASKS[task](*arguments)


def produce() -> None:
    bench.serve(send)
