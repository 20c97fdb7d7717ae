"""Control of jobs with the tasks of an app at hand: put a task on a schedule at run time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from jobistemer.app.handles import TaskHandle
from jobistemer.app.job_declaration import split_job_options
from jobistemer.control.definitions import Registration
from jobistemer.control.jobs import JobControl
from jobistemer.core.checks import show, suggest
from jobistemer.core.errors import InvalidDefinition, InvalidPayload, UnknownTask
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.jobs.job import Job, Task
from jobistemer.core.jobs.options import resolve_options
from jobistemer.core.schedules import AnySchedule, parse_schedule
from jobistemer.runtime.offload import offload

if TYPE_CHECKING:
    from jobistemer.app.registry import Registry

_NOT_AT_RUN_TIME = ("mode", "on_start", "payload")


class AppJobControl(JobControl):
    """Control of the jobs of an app's namespace, `app.control`: what JobControl does, and `put`."""

    def __init__(self, registry: Registry, by: str | None = None) -> None:
        super().__init__(registry.namespace, by)
        self._registry = registry

    def put(
        self,
        name: str,
        *,
        task: TaskHandle[..., Any] | str,
        schedule: AnySchedule | str | timedelta | datetime,
        payload: Mapping[str, Any] | None = None,
        timezone: str = "UTC",
        **policies: Any,
    ) -> Registration:
        """Put a task of this app on a schedule, under a name of the job's own; a job of this name becomes this one.

        A task may be on any number of schedules under different names, from any process that has declared it.
        payload: the keyword arguments of each call. timezone: for a schedule that brings none. policies: those of Job
        (overlap, recovery, calendars, …) and the options of Options (queue, timeout_s, retry, …), which go before
        those of the task. Everything is checked before anything is written.
        Raises UnknownTask, InvalidPayload, InvalidSchedule, InvalidDefinition, InvalidName, or what `register` raises.
        """
        handler = self._find_handler(task)
        refused = [each for each in _NOT_AT_RUN_TIME if each in policies]
        if refused:
            raise InvalidDefinition(f"put takes no {refused[0]}; declare a job of several tasks with app.job(…)")
        fields, options = split_job_options(policies)
        levels = [*self._registry.levels_of(handler.name), ("job", options)]
        found = {field: each for field, each in resolve_options(levels).items() if each.source != "default"}
        effective = type(options)(**{field: each.value for field, each in found.items()})
        sources = {field: each.source for field, each in found.items()}
        only = Task(
            handler.name, handler.name, _encode(name, handler, payload or {}), options=effective, origin=sources
        )
        return self.register(Job(name=name, schedule=parse_schedule(schedule, timezone), tasks=(only,), **fields))

    async def put_async(self, name: str, **asked: Any) -> Registration:
        """Do what `put` does, awaited."""
        return await offload(partial(self.put, name, **asked))

    def _find_handler(self, task: TaskHandle[..., Any] | str) -> Handler:
        handlers = self._registry.handlers
        if isinstance(task, TaskHandle):
            if handlers.get(task.name) is task.handler:
                return task.handler
            raise UnknownTask(f"task {task.name!r} belongs to another app; declare it on this one with @app.task")
        if isinstance(task, str) and task in handlers:
            return handlers[task]
        if not isinstance(task, str):
            raise UnknownTask(f"task is {show(task)}, allowed is what @app.task gives, or its name")
        hint = suggest(task, handlers) or f"it has {', '.join(sorted(handlers)[:10]) or 'none'}"
        raise UnknownTask(f"this app has no task {task[:100]!r}; {hint}")


def _encode(name: str, handler: Handler, payload: Mapping[str, Any]) -> Any:
    if not isinstance(payload, Mapping):
        raise InvalidPayload(f"job {show(name)}: payload is {show(payload)}, allowed are keyword arguments by name")
    return handler.encode_arguments(payload)
