"""Tasks of the project: of ours, and of Django's."""

import sys

from django.contrib.auth.models import User
from django.db import connection

try:
    from django.tasks import task
except ImportError:  # before Django 6
    from django_tasks import task

from jobistemer.contrib.django import app
from jobistemer.contrib.django.outbox import DjangoOutbox

outbox = DjangoOutbox(app)


@app.task
def count_users(prefix: str = "") -> int:
    return User.objects.filter(username__startswith=prefix).count()


@app.task
async def count_users_async() -> int:
    return await User.objects.acount()


@app.task(retry=0)
def find_connection() -> bool:
    """Whether the connection of the run before is still open in this thread; it leaves one that is too old."""
    was_open = connection.connection is not None
    connection.ensure_connection()
    connection.close_at = 0
    return was_open


@task
def add(x: int, y: int) -> int:
    return x + y


@task(takes_context=True, priority=50, queue_name="mail")
def describe(context, text: str) -> str:
    return f"{text} {context.attempt} {context.task_result.id[:4]}"


@task
async def add_async(x: int, y: int) -> int:
    return x + y


class Refused(Exception):
    """An error of the project's own."""


@task
def fail(kind: str = "builtin") -> None:
    raise Refused("not\nthis time") if kind == "own" else ValueError("no")


@task
async def fail_async() -> None:
    raise Refused("not awaited")


@task
def leave() -> None:
    sys.exit("gone")


@task
def return_function():
    return lambda: 1
