"""A backend of Django's tasks: `django.tasks` of Django 6, or the package `django-tasks` before it.

    TASKS = {"default": {"BACKEND": "jobistemer.contrib.django.backend.JobistemerBackend"}}

Each task is a task here by its import path, so the dashboard and the metrics know it by name.
"""

from __future__ import annotations

import inspect
from datetime import UTC, datetime
from typing import Any

from asgiref.sync import sync_to_async

try:  # Django 6
    from django.tasks import TaskContext, TaskResult, TaskResultStatus
    from django.tasks.backends.base import BaseTaskBackend
    from django.tasks.base import TaskError
    from django.tasks.exceptions import TaskResultDoesNotExist
    from django.tasks.signals import task_enqueued
except ImportError:  # the package for Django 4.2 to 5.2
    from django_tasks.backends.base import BaseTaskBackend
    from django_tasks.base import TaskContext, TaskError, TaskResult, TaskResultStatus
    from django_tasks.exceptions import TaskResultDoesNotExist
    from django_tasks.signals import task_enqueued

import msgspec

from jobistemer.contrib.django.project import get_app
from jobistemer.core.errors import InvalidInput, UnknownRun
from jobistemer.core.handlers.context import Context
from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.core.runs.records import RunRecord
from jobistemer.core.states import RunState
from jobistemer.store.reads.jobs import locate_run
from jobistemer.store.reads.messages import find_sent_message
from jobistemer.store.reads.records import find_attempts

_STATES = {
    RunState.PENDING: TaskResultStatus.READY,
    RunState.SCHEDULED: TaskResultStatus.READY,
    RunState.RUNNING: TaskResultStatus.RUNNING,
    RunState.SUCCEEDED: TaskResultStatus.SUCCESSFUL,
}
_FAILED = TaskResultStatus.FAILED if hasattr(TaskResultStatus, "FAILED") else TaskResultStatus("FAILED")


class Returned(msgspec.Struct):
    """The result of a run: the value, with the arguments, which a run that has succeeded keeps nowhere else."""

    value: Any
    args: list[Any]
    kwargs: dict[str, Any]


class JobistemerBackend(BaseTaskBackend):
    """Django's tasks on the app of the project. Priorities -100 to 100 become 0 to 9."""

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def validate_task(self, task: Any) -> None:
        """Declare the task in the app when Django declares it. Raises InvalidTaskError."""
        super().validate_task(task)
        app = get_app()
        if task.module_path not in app.handlers:
            app.task(name=task.module_path, retry=NO_RETRIES)(_build_function(task, self))

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Enqueue a call of a task. Raises InvalidTaskError, TypeError for arguments that are no JSON, NotConnected."""
        self.validate_task(task)
        result = self._build_result(task, "", TaskResultStatus.READY, list(args), dict(kwargs))
        call = {"queue": task.queue_name, "priority": _read_priority(task.priority), "at": task.run_after}
        run = get_app().enqueue(task.module_path, {"args": result.args, "kwargs": result.kwargs}, **call)
        found = self._build_result(task, run.id, TaskResultStatus.READY, list(args), dict(kwargs))
        object.__setattr__(found, "enqueued_at", datetime.now(UTC))
        task_enqueued.send(type(self), task_result=found)
        return found

    async def aenqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Enqueue a call like `enqueue`, awaited."""
        return await sync_to_async(self.enqueue, thread_sensitive=False)(task, args, kwargs)

    def get_result(self, result_id: str) -> Any:
        """Return the result with an id. Raises TaskResultDoesNotExist."""
        app = get_app()
        try:
            record = app.run(result_id).record()
        except (UnknownRun, InvalidInput):
            raise TaskResultDoesNotExist(result_id) from None
        task = _TASKS.get(record.handler)
        located = locate_run(app.namespace.shards, result_id)
        if task is None or located is None:
            raise TaskResultDoesNotExist(result_id)
        attempts = find_attempts(located[0], record)
        args, kwargs, value = _read_arguments(located[0], record)
        result = self._build_result(task, result_id, _STATES.get(record.state, _FAILED), args, kwargs)
        facts = {
            "enqueued_at": _instant(record.enqueued_at),
            "started_at": _instant(attempts[0].started_at) if attempts else None,
            "last_attempted_at": _instant(attempts[-1].started_at) if attempts else None,
            "finished_at": _instant(record.ended_at),
            "_return_value": value,
            "errors": [_build_error(each.error) for each in attempts if each.error],
            "worker_ids": [each.worker for each in attempts],
        }
        for name, fact in facts.items():
            object.__setattr__(result, name, fact)
        return result

    async def aget_result(self, result_id: str) -> Any:
        """Return the result like `get_result`, awaited."""
        return await sync_to_async(self.get_result, thread_sensitive=False)(result_id)

    def _build_result(self, task: Any, run: str, status: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return TaskResult(
            task=task,
            id=run,
            status=status,
            enqueued_at=None,
            started_at=None,
            finished_at=None,
            last_attempted_at=None,
            args=args,
            kwargs=kwargs,
            backend=self.alias,
            errors=[],
            worker_ids=[],
        )


_TASKS: dict[str, Any] = {}
"""Django's task by its import path: what a result belongs to."""


def _build_function(task: Any, backend: JobistemerBackend) -> Any:
    """Return the function of our task: it calls Django's."""
    _TASKS[task.module_path] = task

    def before(context: Context, args: list[Any], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        if not task.takes_context:
            return ()
        result = backend._build_result(task, context.run, TaskResultStatus.RUNNING, args, kwargs)  # noqa: SLF001 - ours
        result.worker_ids.extend([""] * (context.attempt + 1))
        return (TaskContext(task_result=result),)

    if inspect.iscoroutinefunction(task.func):

        async def call_async(context: Context, args: list[Any], kwargs: dict[str, Any]) -> Returned:
            return Returned(await task.func(*before(context, args, kwargs), *args, **kwargs), args, kwargs)

        return call_async

    def call(context: Context, args: list[Any], kwargs: dict[str, Any]) -> Returned:
        return Returned(task.func(*before(context, args, kwargs), *args, **kwargs), args, kwargs)

    return call


def _read_arguments(database: Any, record: RunRecord) -> tuple[list[Any], dict[str, Any], Any]:
    """Return the arguments of a run, and the value that it returned."""
    if record.state is RunState.SUCCEEDED:
        returned = msgspec.json.decode(record.result, type=Returned)
        return returned.args, returned.kwargs, returned.value
    message = find_sent_message(database, record)
    payload = msgspec.json.decode(message.payload) if message is not None else {}
    return payload.get("args", []), payload.get("kwargs", {}), None


def _build_error(text: str) -> Any:
    """Return an error in Django's form; what is recorded here begins with the name of its class."""
    kind = text.partition(":")[0].strip()
    path = kind if "." in kind else f"builtins.{kind}"
    return TaskError(exception_class_path=path, traceback=text)


def _read_priority(priority: int) -> int:
    """Return our priority, 0–9, for one of Django, -100–100; the default of one is that of the other."""
    steps = -(-priority * 4 // 100) if priority > 0 else priority * 5 // 100
    return 5 + steps


def _instant(unix_ms: int) -> datetime | None:
    return datetime.fromtimestamp(unix_ms / 1000, UTC) if unix_ms else None
