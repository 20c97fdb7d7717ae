"""The function of our task for a task of Django: it calls that task, sends Django's signals, and notes an exception."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from traceback import format_exception
from typing import Any

import msgspec

from jobistemer.contrib.django.task_names import (
    FAILED,
    TaskContext,
    TaskError,
    TaskResult,
    TaskResultStatus,
    normalize_json,
    task_finished,
    task_started,
)
from jobistemer.core.handlers.attempt_log import LONGEST_LINE
from jobistemer.core.handlers.context import Context
from jobistemer.core.ids import read_enqueue_ms
from jobistemer.core.safe_text import hide_secrets

RAISED = "raised "
"""Beginning of the line in the log of an attempt that has the class and the traceback of what Django's task raised."""


# What else ends an attempt, such as a cancel or the end of the worker, is no failure of the task.
_FAILURES = (Exception, SystemExit, KeyboardInterrupt)


class Returned(msgspec.Struct):
    """The result of a run: the value, with the arguments, which a run that has succeeded keeps nowhere else."""

    value: Any
    args: list[Any]
    kwargs: dict[str, Any]


def build_result(task: Any, backend: str, run: str, status: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Return Django's result of a run, with what its id and its arguments say."""
    return TaskResult(
        task=task,
        id=run,
        status=status,
        enqueued_at=read_instant(read_enqueue_ms(run)),
        started_at=None,
        finished_at=None,
        last_attempted_at=None,
        args=args,
        kwargs=kwargs,
        backend=backend,
        errors=[],
        worker_ids=[],
    )


def update_result(result: Any, **facts: Any) -> None:
    """Change fields of a result, which Django keeps frozen and changes in the same way."""
    for name, fact in facts.items():
        object.__setattr__(result, name, fact)


def read_instant(unix_ms: int) -> datetime | None:
    """Return Unix milliseconds as Django's results have them; None for 0."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC) if unix_ms else None


def build_function(task: Any, backend: Any) -> Callable[..., Any]:
    """Return the function of our task for a task of Django; a coroutine function for one."""
    sender = type(backend)

    def begin(context: Context, args: list[Any], kwargs: dict[str, Any]) -> tuple[Any, tuple[Any, ...]]:
        result = build_result(task, backend.alias, context.run, TaskResultStatus.RUNNING, args, kwargs)
        update_result(result, started_at=context.started_at, last_attempted_at=context.started_at)
        result.worker_ids.extend([""] * (context.attempt + 1))
        return result, (TaskContext(task_result=result),) if task.takes_context else ()

    if inspect.iscoroutinefunction(task.func):

        async def call_async(context: Context, args: list[Any], kwargs: dict[str, Any]) -> Returned:
            result, first = begin(context, args, kwargs)
            await task_started.asend_robust(sender, task_result=result)
            try:
                value = normalize_json(await task.func(*first, *args, **kwargs))
            except _FAILURES as error:
                _note_failure(context, result, error)
                await task_finished.asend_robust(sender, task_result=result)
                raise
            _note_success(result, value)
            await task_finished.asend_robust(sender, task_result=result)
            return Returned(value, args, kwargs)

        return call_async

    def call(context: Context, args: list[Any], kwargs: dict[str, Any]) -> Returned:
        result, first = begin(context, args, kwargs)
        task_started.send_robust(sender, task_result=result)
        try:
            value = normalize_json(task.func(*first, *args, **kwargs))
        except _FAILURES as error:
            _note_failure(context, result, error)
            task_finished.send_robust(sender, task_result=result)
            raise
        _note_success(result, value)
        task_finished.send_robust(sender, task_result=result)
        return Returned(value, args, kwargs)

    return call


def _note_success(result: Any, value: Any) -> None:
    update_result(result, status=TaskResultStatus.SUCCESSFUL, finished_at=datetime.now(UTC), _return_value=value)


def _note_failure(context: Context, result: Any, error: BaseException) -> None:
    """Store class and traceback with the attempt: what is recorded of an error names the class without its module."""
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    trace = hide_secrets("".join(format_exception(error)))
    # The end of a traceback says most; its last line is the error itself.
    kept = trace[-(LONGEST_LINE - len(RAISED) - len(kind) - 1) :]
    context.log(f"{RAISED}{kind}\n{kept}", "error")
    result.errors.append(TaskError(exception_class_path=kind, traceback=trace))
    update_result(result, status=FAILED, finished_at=datetime.now(UTC))
