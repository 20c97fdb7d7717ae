"""Tasks of the project: of ours, and of Django's."""

from django.contrib.auth.models import User
from django.db import connection
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


@task
def fail() -> None:
    raise ValueError("no")
