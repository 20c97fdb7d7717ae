"""rq: the producer. Its tasks are in rq_tasks.py, its schedules in rq_schedules.py."""

from __future__ import annotations

import bench
import rq_tasks
from redis import Redis
from rq import Queue

queue = Queue(connection=Redis.from_url(bench.URL))
OPTIONS = {"result_ttl": 0} if bench.TUNED else {}


def send(task: str, *arguments: int) -> None:
    queue.enqueue(getattr(rq_tasks, task), *arguments, **OPTIONS)


def send_many(task: str, count: int) -> None:
    function = getattr(rq_tasks, task)
    for start in range(0, count, 1000):
        queue.enqueue_many([Queue.prepare_data(function, **OPTIONS) for _ in range(min(1000, count - start))])


def produce() -> None:
    bench.serve(send, send_many)
