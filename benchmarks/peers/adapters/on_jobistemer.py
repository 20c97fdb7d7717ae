"""Jobistemer: full records, as a user starts it."""

from __future__ import annotations

import asyncio
import time

import bench

from jobistemer import Jobistemer
from jobistemer.core.jobs.job import Job, Task
from jobistemer.core.schedules import Cron

app = Jobistemer(bench.URL)


@app.task
def plain() -> None: ...


@app.task
async def coroutine() -> None: ...


@app.task
def sleep() -> None:
    time.sleep(bench.MILLISECOND)


@app.task
async def sleep_coroutine() -> None:
    await asyncio.sleep(bench.MILLISECOND)


@app.task
def stamp(sent: int) -> None:
    bench.mark(sent)


def tick() -> None:
    bench.mark("tick")


for number in range(bench.SCHEDULES if bench.DUE_EVERY_SECOND else 0):
    app.job(bench.CRON, name=f"tick-{number}", overlap="allow")(tick)


def send(task: str, *arguments: int) -> None:
    app.enqueue(task, {"sent": arguments[0]} if arguments else None)


def send_many(task: str, count: int) -> None:
    app.enqueue_many(app.request(task) for _ in range(count))


def register(count: int) -> None:
    if bench.DUE_EVERY_SECOND:
        app.deploy()
        return
    schedule = Cron(bench.CRON)
    for number in range(count):
        app.control.register(Job(f"tick-{number}", schedule, (Task("tick", "tick"),)))


def produce() -> None:
    bench.serve(send, send_many, register=register)
