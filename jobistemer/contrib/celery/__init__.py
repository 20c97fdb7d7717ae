"""The calls of Celery on an app of Jobistemer, so that a code base moves file by file.

    from jobistemer.contrib.celery import shared_task, set_default_app

    set_default_app(app)

    @shared_task(autoretry_for=(ConnectionError,), retry_backoff=True)
    def add(x: int, y: int) -> int:
        return x + y

    add.delay(1, 2).get(timeout=5)

It needs no Celery. Links of a chain and the body of a chord have their run ids before the first of them is enqueued;
each is enqueued by the transaction that records the result before it, so exactly once.
"""

from jobistemer.contrib.celery.groups import Group, GroupResult, chord, group
from jobistemer.contrib.celery.links import AsyncResult, Chain, Link, chain
from jobistemer.contrib.celery.shared import BoundTask, SharedTask, set_default_app, shared_task

__all__ = [
    "AsyncResult",
    "BoundTask",
    "Chain",
    "Group",
    "GroupResult",
    "Link",
    "SharedTask",
    "chain",
    "chord",
    "group",
    "set_default_app",
    "shared_task",
]
