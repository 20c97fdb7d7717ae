"""Declaration of a job: one function, or several tasks that form a graph."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

import msgspec

from jobistemer.app.decorators import TaskDecorator
from jobistemer.app.handles import TaskHandle
from jobistemer.core import ids
from jobistemer.core.checks import check_choice, check_name, explain_unknown, show
from jobistemer.core.errors import InvalidDefinition, InvalidPayload, JobistemerError
from jobistemer.core.handlers.callables import find_name
from jobistemer.core.handlers.context import Context
from jobistemer.core.handlers.handler import Handler, encode_payload
from jobistemer.core.handlers.hooks import Hooks
from jobistemer.core.handlers.injected import UpstreamResult
from jobistemer.core.handlers.type_fit import can_never_fit, show_type
from jobistemer.core.jobs.graph import find_upstream
from jobistemer.core.jobs.job import FailureStrategy, Job, Task
from jobistemer.core.jobs.new_job import encode_new_job
from jobistemer.core.jobs.options import ALIASES, OPTION_NAMES, Options, find_sources, read_options
from jobistemer.core.schedules import AnySchedule, Custom, parse_schedule

P = ParamSpec("P")
R = TypeVar("R")

_OPTION_NAMES = OPTION_NAMES | ALIASES
# Traits stay in the process that declares them: exceptions and types are classes, which no message can carry.
_TRAIT_NAMES = frozenset({"retry_on", "no_retry_on", "signals"})
_OWN_NAMES = frozenset({"mode", "payload", "on_start"})
_POLICY_NAMES = frozenset(Job.__struct_fields__) - {"name", "schedule", "tasks", "on_complete"} | _OWN_NAMES
COMPLETION = "on_complete"
_PLACEHOLDER = Task("task", "task")
MODES = ("graph", "sequential", "parallel")


class DeclaringApp(Protocol):
    """The part of an app that a declaration uses."""

    handlers: dict[str, Handler]
    hooks: Hooks
    declarations: dict[str, JobDeclaration]
    defaults: Options

    def add_handler(
        self, function: Callable[..., Any], name: str, levels: list[tuple[str, Options]], **traits: Any
    ) -> TaskHandle[Any, Any]:
        """Register a function as a task; levels: the options of app, job and task, in this order."""
        ...


class JobDeclaration(TaskDecorator):
    """The declaration of a job: `@app.job("0 2 * * *")` over its one function, or `@nightly.task` over each of several.

    Besides the options of Options, retry_on and no_retry_on, it takes the policies of Job (overlap, recovery, grace_s,
    calendars, …), `payload` (the keyword arguments of the one function) and `mode`: `graph` (the default: each task
    names the tasks before it), `sequential` (each task after the one before) or `parallel` (no edges).
    """

    def __init__(self, app: DeclaringApp, schedule: AnySchedule, name: str | None, policies: Mapping[str, Any]) -> None:
        super().__init__(self._add_only_task)
        self._app = app
        self._schedule = schedule
        self._traits = {name: value for name, value in policies.items() if name in _TRAIT_NAMES}
        own = {name: value for name, value in policies.items() if name not in _TRAIT_NAMES}
        self._policies, self._options = split_job_options(own)
        self._mode = self._policies.pop("mode", "graph")
        self._payload = self._policies.pop("payload", {})
        if self._mode not in MODES:
            raise InvalidDefinition(f"mode is {show(self._mode)}, allowed are {', '.join(MODES)}")
        if self._payload is not None and not isinstance(self._payload, Mapping):
            raise InvalidPayload(f"payload of a job is {show(self._payload)}, allowed are keyword arguments by name")
        self._on_start = self._policies.pop("on_start", None)
        if self._policies or isinstance(schedule, Custom):
            # A job of several tasks is complete only when it is built; what its policies have wrong is said here.
            encode_new_job(Job("unnamed" if name is None else name, schedule, (_PLACEHOLDER,), **self._policies))
        self._tasks: list[Task] = []
        self._completion: Task | None = None
        self._built: Job | None = None
        self.name = ""
        if name is not None:
            self._set_name(name)

    @overload
    def task(self, function: Callable[Concatenate[Context, P], Awaitable[R]], /) -> TaskHandle[P, R]: ...
    @overload
    def task(self, function: Callable[Concatenate[Context, P], R], /) -> TaskHandle[P, R]: ...
    @overload
    def task(self, function: Callable[P, Awaitable[R]], /) -> TaskHandle[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> TaskHandle[P, R]: ...
    @overload
    def task(
        self,
        /,
        *,
        name: str | None = None,
        after: Sequence[str | TaskHandle[..., Any]] = (),
        payload: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> TaskDecorator: ...
    def task(
        self,
        function: Any = None,
        /,
        *,
        name: str | None = None,
        after: Sequence[str | TaskHandle[..., Any]] = (),
        payload: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Add a task. after: the tasks that must have succeeded before. payload: its keyword arguments.

        A parameter that is named like an earlier task gets the result of that task. options: those of Options,
        `failure` (the effect of its failure on the other tasks, by default that of the job), retry_on and no_retry_on.
        Raises InvalidDefinition, InvalidName or InvalidPayload.
        """
        if not self.name:
            raise InvalidDefinition('a job of several tasks needs a name: app.job(schedule, name="nightly")')

        def add(each: Callable[..., Any]) -> TaskHandle[Any, Any]:
            own = find_name(each, name)
            return self._add_task(each, own, f"{self.name}.{own}", self._upstream_names(after), payload or {}, options)

        return TaskDecorator(add) if function is None else add(function)

    def on_complete(self, function: Callable[..., Any] | None = None, **options: Any) -> Any:
        """Declare a function that is run after the end of each occurrence, whatever its outcome.

        A parameter annotated `Report` gets the execution report. The run is created by the script that ends the
        occurrence, so it survives the worker that finished the last task. Raises InvalidDefinition.
        """
        if function is None:
            return lambda each: self.on_complete(each, **options)
        if not self.name:
            raise InvalidDefinition('name the job before its on_complete: app.job(schedule, name="nightly")')
        if self._completion is not None:
            raise InvalidDefinition(f"job {self.name!r} has two functions for on_complete; it can have one")
        traits, own = split_task_options(options)
        handle, effective, origin = self._add_handler(function, f"{self.name}.{COMPLETION}", traits, own)
        payload = encode_payload(handle.name, {})
        self._built = None
        self._completion = Task(COMPLETION, handle.name, payload, options=effective, origin=origin)
        return handle

    def on_start(self, hook: Callable[[Context], object]) -> Callable[[Context], object]:
        """Register a hook that gets the context of the first attempt of each occurrence.

        An error in the hook is logged and changes nothing. Raises InvalidDefinition.
        """
        return self._app.hooks.on_start(ids.job_id(self.name), hook)

    def build(self) -> Job:
        """Return the definition as a value. Raises InvalidDefinition."""
        if self._built is None:
            tasks = tuple(self._tasks)
            self._built = Job(self.name, self._schedule, tasks, on_complete=self._completion, **self._policies)
        return self._built

    def _add_only_task(self, function: Callable[..., Any]) -> TaskHandle[Any, Any]:
        """Make the function the only task of the job."""
        if not self.name:
            self._set_name(find_name(function, None))
        try:
            handle = self._add_task(function, self.name, self.name, (), self._payload, {})
            self.build()
        except JobistemerError:
            self._forget()
            raise
        return handle

    def _forget(self) -> None:
        """Take a declaration that failed back, so that the app has neither its job nor its tasks."""
        if self._app.declarations.get(self.name) is self:
            del self._app.declarations[self.name]
        for task in self._tasks:
            self._app.handlers.pop(task.handler, None)

    def _set_name(self, name: str) -> None:
        self.name = check_name("job", name)
        if name in self._app.declarations:
            raise InvalidDefinition(f"job {show(name)} is declared twice; names of an app's jobs are unique")
        self._app.declarations[name] = self
        if self._on_start is not None:
            self.on_start(self._on_start)

    def _upstream_names(self, after: Sequence[str | TaskHandle[..., Any]]) -> tuple[str, ...]:
        if isinstance(after, str) or not isinstance(after, Sequence):
            raise InvalidDefinition(f"after is {show(after)}, allowed is a list of tasks: after=[extract]")
        if self._mode == "parallel" or (self._mode == "sequential" and not self._tasks):
            return ()
        if self._mode == "sequential":
            return (self._tasks[-1].name,)
        for each in after:
            if not isinstance(each, str | TaskHandle):
                raise InvalidDefinition(f"after has {show(each)}, allowed are tasks of this job and their names")
        return tuple(each if isinstance(each, str) else each.name.rpartition(".")[2] for each in after)

    def _add_task(
        self,
        function: Callable[..., Any],
        name: str,
        handler_name: str,
        after: tuple[str, ...],
        payload: Mapping[str, Any],
        given: Mapping[str, Any],
    ) -> TaskHandle[Any, Any]:
        failure = given.get("failure")
        if failure is not None:
            failure = check_choice(f"task {show(name)}: failure", failure, FailureStrategy, InvalidDefinition)
        own = {key: value for key, value in given.items() if key != "failure"}
        traits, options = split_task_options(self._traits | own)
        edges = {task.name: task.after for task in self._tasks}
        traits["upstream"] = find_upstream(edges, after)
        handle, effective, origin = self._add_handler(function, handler_name, traits, options)
        try:
            self._check_upstream_types(handle.handler)
            checked = self._check_arguments(handle.handler, payload)
        except (InvalidPayload, InvalidDefinition):
            del self._app.handlers[handler_name]
            raise
        self._built = None
        self._tasks.append(Task(name, handler_name, checked, after, effective, failure, origin))
        return handle

    def _check_upstream_types(self, handler: Handler) -> None:
        """Refuse a parameter that can never hold the result of the task it is named like. Raises InvalidDefinition."""
        for parameter, injected in handler.injected.items():
            before = self._app.handlers.get(f"{self.name}.{parameter}")
            # A task with a context may map: its result is then that of its reducer.
            if before is None or before.context_parameter is not None or not isinstance(injected, UpstreamResult):
                continue
            returned = before.result_codec.annotation
            if can_never_fit(returned, injected.annotation):
                raise InvalidDefinition(
                    f"task {handler.name!r}: parameter {parameter!r} is annotated {show_type(injected.annotation)}, "
                    f"and task {before.name!r}, whose result it gets, returns {show_type(returned)}"
                )

    def _check_arguments(self, handler: Handler, payload: Mapping[str, Any]) -> msgspec.Raw:
        """Return the payload of every call of a task.

        Raises InvalidPayload, or InvalidDefinition when the task has no payload and needs one: a task of a job gets no
        other arguments.
        """
        try:
            return handler.encode_arguments(payload)
        except InvalidPayload as error:
            if payload:
                raise
            raise InvalidDefinition(
                f"task {handler.name!r} of job {self.name!r} gets no arguments, but {error}: give its parameters "
                "defaults or the task payload={…}, or name them like tasks that come before it"
            ) from None

    def _add_handler(
        self, function: Callable[..., Any], name: str, traits: dict[str, Any], options: Options
    ) -> tuple[TaskHandle[Any, Any], Options, dict[str, str]]:
        """Return the handle of a new task, its effective options, and the level that each option comes from."""
        levels = [("app", self._app.defaults), ("job", self._options), ("task", options)]
        handle = self._app.add_handler(function, name, levels, **traits)
        return handle, handle.handler.options, find_sources(levels)


def split_task_options(given: Mapping[str, Any]) -> tuple[dict[str, Any], Options]:
    """Split the keyword arguments of a task's declaration into traits (exceptions, types of signals) and options.

    Raises InvalidDefinition for unknown names and for values out of range.
    """
    unknown = set(given) - _OPTION_NAMES - _TRAIT_NAMES
    if unknown:
        raise InvalidDefinition(f"a task {explain_unknown(unknown, _OPTION_NAMES | _TRAIT_NAMES)}")
    traits = {name: value for name, value in given.items() if name in _TRAIT_NAMES}
    return traits, read_options("a task", given)


def split_job_options(policies: Mapping[str, Any]) -> tuple[dict[str, Any], Options]:
    """Split the keyword arguments of a job's declaration into its policies and the options of its tasks.

    Raises InvalidDefinition for unknown names and for values out of range.
    """
    unknown = set(policies) - _OPTION_NAMES - _POLICY_NAMES
    if unknown:
        known = _OPTION_NAMES | _POLICY_NAMES | _TRAIT_NAMES
        raise InvalidDefinition(f"a job {explain_unknown(unknown, known)}")
    options = read_options("a job", policies)
    found = {key: value for key, value in policies.items() if key in _POLICY_NAMES}
    if found.get("update_window") is not None:
        found["update_window"] = parse_schedule(found["update_window"])
    return found, options
