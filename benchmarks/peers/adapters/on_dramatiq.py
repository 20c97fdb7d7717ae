"""Dramatiq with its Redis broker. It has no scheduler of its own."""

from __future__ import annotations

import asyncio
import time

import bench
import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO, Retries

broker = RedisBroker(url=bench.URL, **({"middleware": [Retries()], "maintenance_chance": 100} if bench.TUNED else {}))
broker.add_middleware(AsyncIO())
dramatiq.set_broker(broker)


@dramatiq.actor
def plain() -> None: ...


@dramatiq.actor
async def coroutine() -> None: ...


@dramatiq.actor
def sleep() -> None:
    time.sleep(bench.MILLISECOND)


@dramatiq.actor
async def sleep_coroutine() -> None:
    await asyncio.sleep(bench.MILLISECOND)


@dramatiq.actor
def stamp(sent: int) -> None:
    bench.mark(sent)


ACTORS = {actor.actor_name: actor for actor in (plain, coroutine, sleep, sleep_coroutine, stamp)}


def send(task: str, *arguments: int) -> None:
    ACTORS[task].send(*arguments)


def produce() -> None:
    bench.serve(send)
