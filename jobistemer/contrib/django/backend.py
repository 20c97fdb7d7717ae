"""A backend of Django's tasks: `django.tasks` of Django 6, or the package `django-tasks` before it.

    TASKS = {"default": {"BACKEND": "jobistemer.contrib.django.backend.JobistemerBackend"}}

Each task is a task here by its import path, so the dashboard and the metrics know it by name.
"""

from __future__ import annotations

import builtins
from typing import Any

import msgspec
from asgiref.sync import sync_to_async

from jobistemer.contrib.django.project import get_app
from jobistemer.contrib.django.task_calls import (
    RAISED,
    Returned,
    build_function,
    build_result,
    read_instant,
    update_result,
)
from jobistemer.contrib.django.task_names import (
    FAILED,
    BaseTaskBackend,
    TaskError,
    TaskResultDoesNotExist,
    TaskResultStatus,
    normalize_json,
    task_enqueued,
)
from jobistemer.core.checks import check_id, check_name
from jobistemer.core.errors import InvalidInput, RunFailed
from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.core.runs.records import AttemptRecord, RunRecord
from jobistemer.core.states import RunState
from jobistemer.store.calls.attempt_log import read_attempt_log
from jobistemer.store.database import Database
from jobistemer.store.reads.jobs import locate_record
from jobistemer.store.reads.messages import find_sent_message
from jobistemer.store.reads.records import find_attempts

_STATES = {
    RunState.PENDING: TaskResultStatus.READY,
    RunState.SCHEDULED: TaskResultStatus.READY,
    RunState.RUNNING: TaskResultStatus.RUNNING,
    RunState.SUCCEEDED: TaskResultStatus.SUCCESSFUL,
}
_LAST_LINES = 10
"""So many lines of a failed attempt are read for what it raised, which is written last."""


class JobistemerBackend(BaseTaskBackend):
    """Django's tasks on the app of the project. Priorities -100 to 100 become 0 to 9."""

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: Any) -> None:
        """Declare the QUEUES of the backend, so that workers serve them. Raises InvalidName for one that cannot be."""
        super().__init__(alias, params)
        get_app().further_queues |= {check_name("queue", queue) for queue in self.queues}

    def validate_task(self, task: Any) -> None:
        """Declare the task in the app when Django declares it. Raises InvalidTask, or InvalidTaskError before 6."""
        super().validate_task(task)
        app = get_app()
        if task.module_path not in app.handlers:
            _TASKS[task.module_path] = task
            app.task(name=task.module_path, retry=NO_RETRIES)(build_function(task, self))

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Enqueue a call of a task.

        Raises InvalidTask (InvalidTaskError before Django 6), TypeError for arguments that are no JSON, NotConnected.
        """
        self.validate_task(task)
        payload = {"args": normalize_json(list(args)), "kwargs": normalize_json(dict(kwargs))}
        call = {"queue": task.queue_name, "priority": _read_priority(task.priority), "at": task.run_after}
        run = get_app().enqueue(task.module_path, payload, **call)
        found = build_result(task, self.alias, run.id, TaskResultStatus.READY, payload["args"], payload["kwargs"])
        task_enqueued.send(type(self), task_result=found)
        return found

    async def aenqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Enqueue a call like `enqueue`, awaited."""
        return await sync_to_async(self.enqueue, thread_sensitive=False)(task, args, kwargs)

    def get_result(self, result_id: str) -> Any:
        """Return the result with an id. Raises TaskResultDoesNotExist."""
        try:
            located = locate_record(get_app().namespace.shards, check_id("run id", result_id))
        except InvalidInput:
            raise TaskResultDoesNotExist(result_id) from None
        if located is None or located[1].handler not in _TASKS:
            raise TaskResultDoesNotExist(result_id)
        database, record = located
        return _read_result(database, record, _TASKS[record.handler], self.alias)

    async def aget_result(self, result_id: str) -> Any:
        """Return the result like `get_result`, awaited."""
        return await sync_to_async(self.get_result, thread_sensitive=False)(result_id)


_TASKS: dict[str, Any] = {}
"""Django's task by its import path: what a result belongs to."""


def _read_result(database: Database, record: RunRecord, task: Any, alias: str) -> Any:
    attempts = find_attempts(database, record)
    args, kwargs, value = _read_arguments(database, record)
    result = build_result(task, alias, record.id, _STATES.get(record.state, FAILED), args, kwargs)
    update_result(
        result,
        enqueued_at=read_instant(record.enqueued_at),
        started_at=read_instant(attempts[0].started_at) if attempts else None,
        last_attempted_at=read_instant(attempts[-1].started_at) if attempts else None,
        finished_at=read_instant(record.ended_at),
        _return_value=value,
        errors=[_read_error(database, each) for each in attempts if each.error],
        worker_ids=[each.worker for each in attempts],
    )
    return result


def _read_arguments(database: Database, record: RunRecord) -> tuple[list[Any], dict[str, Any], Any]:
    """Return the arguments of a run, and the value that it returned."""
    if record.state is RunState.SUCCEEDED:
        returned = msgspec.json.decode(record.result, type=Returned)
        return returned.args, returned.kwargs, returned.value
    message = find_sent_message(database, record)
    payload = msgspec.json.decode(message.payload) if message is not None else {}
    return payload.get("args", []), payload.get("kwargs", {}), None


def _read_error(database: Database, attempt: AttemptRecord) -> Any:
    """Return an error in Django's form: what the task raised, or why its attempt ended without, such as a time-out."""
    if attempt.lines:
        log = read_attempt_log(database, attempt.id, max(0, attempt.lines - _LAST_LINES))
        for line in reversed(log.lines):
            if line.text.startswith(RAISED):
                path, _, trace = line.text.removeprefix(RAISED).partition("\n")
                return TaskError(exception_class_path=path, traceback=trace)
    name = attempt.error.partition(":")[0].strip()
    kind = getattr(builtins, name, None)
    is_builtin = isinstance(kind, type) and issubclass(kind, BaseException)
    path = f"builtins.{name}" if is_builtin else f"{RunFailed.__module__}.{RunFailed.__qualname__}"
    return TaskError(exception_class_path=path, traceback=attempt.error)


def _read_priority(priority: int) -> int:
    """Return our priority, 0–9, for one of Django, -100–100; the default of one is that of the other."""
    steps = -(-priority * 4 // 100) if priority > 0 else priority * 5 // 100
    return 5 + steps
