"""APScheduler 3 with its Redis job store: a scheduler that runs what is due in threads of its own."""

from __future__ import annotations

import signal
from urllib.parse import urlparse

import bench
from apscheduler.jobstores.redis import RedisJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.cron import CronTrigger


def tick() -> None:
    bench.mark("tick")


def configured(scheduler: type[BaseScheduler]) -> BaseScheduler:
    server = urlparse(bench.URL)
    return scheduler(jobstores={"default": RedisJobStore(host=server.hostname, port=server.port)}, timezone="UTC")


def register(count: int) -> None:
    scheduler = configured(BackgroundScheduler)
    scheduler.start(paused=True)
    when = CronTrigger(second="*") if bench.DUE_EVERY_SECOND else CronTrigger(month=1, day=1, hour=0)
    for number in range(count):
        scheduler.add_job("on_apscheduler:tick", when, id=f"tick-{number}")
    scheduler.shutdown()


def produce() -> None:
    bench.serve(lambda *_: None, register=register)


if __name__ == "__main__":
    running = configured(BlockingScheduler)
    signal.signal(signal.SIGTERM, lambda *_: running.shutdown(wait=False))
    running.start()
