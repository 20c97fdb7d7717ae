"""Celery with Redis as broker and result store; celery beat as the scheduler."""

from __future__ import annotations

import time

import bench
from celery import Celery
from celery.schedules import crontab, schedule

app = Celery("bench", broker=bench.URL, backend=bench.URL)
if bench.TUNED:
    app.conf.update(
        task_ignore_result=True,
        worker_prefetch_multiplier=128,
        worker_disable_rate_limits=True,
        worker_send_task_events=False,
        broker_pool_limit=1,
        task_compression=None,
    )


@app.task(name="plain")
def plain() -> None: ...


@app.task(name="sleep")
def sleep() -> None:
    time.sleep(bench.MILLISECOND)


@app.task(name="stamp")
def stamp(sent: int) -> None:
    bench.mark(sent)


@app.task(name="tick")
def tick(number: int) -> None:
    bench.mark(f"tick-{number}")


EVERY = schedule(1.0) if bench.DUE_EVERY_SECOND else crontab(minute=0, hour=0, day_of_month=1, month_of_year=1)
app.conf.beat_schedule = {
    f"tick-{number}": {"task": "tick", "schedule": EVERY, "args": (number,)} for number in range(bench.SCHEDULES)
}
TASKS = {"plain": plain, "sleep": sleep, "stamp": stamp}


def send(task: str, *arguments: int) -> None:
    TASKS[task].delay(*arguments)


def produce() -> None:
    bench.serve(send)
