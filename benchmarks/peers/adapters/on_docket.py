"""docket: coroutines on Redis streams; a schedule is a task that comes again after it has ended."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import bench
from docket import Cron, Docket, Perpetual

docket = Docket(name="bench", url=bench.URL, **({"execution_ttl": timedelta(0)} if bench.TUNED else {}))


async def coroutine() -> None: ...


async def sleep_coroutine() -> None:
    await asyncio.sleep(bench.MILLISECOND)


async def stamp(sent: int) -> None:
    bench.mark(sent)


EVERY = Cron(bench.CRON, automatic=False)


async def tick(number: int, cron: Perpetual = EVERY) -> None:
    bench.mark("tick")


tasks = [coroutine, sleep_coroutine, stamp, tick]
TASKS = {task.__name__: task for task in tasks}


async def connect() -> None:
    await docket.__aenter__()
    for task in tasks:
        docket.register(task)


async def send(task: str, *arguments: int) -> None:
    await docket.add(TASKS[task])(*arguments)


async def send_many(task: str, count: int) -> None:
    await docket.add_many(docket.call(TASKS[task])() for _ in range(count))


async def register(count: int) -> None:
    """Each begins at once, and then keeps to its cron; one that is not due begins in a month."""
    when = datetime.now(UTC) + timedelta(seconds=1 if bench.DUE_EVERY_SECOND else bench.INTERVAL_S)
    await docket.add_many(docket.call(tick, when=when, key=f"tick-{number}")(number) for number in range(count))


def produce() -> None:
    bench.serve(send, send_many, connect, register)
