"""Declaring a job: one function, or several tasks that form a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from jobistemer.app.handles import TaskHandle
from jobistemer.core import ids
from jobistemer.core.context import Context
from jobistemer.core.errors import InvalidDefinition
from jobistemer.core.handlers import Handler, encode_payload
from jobistemer.core.models import Job, Task
from jobistemer.core.names import checked_name
from jobistemer.core.options import Options, merged
from jobistemer.core.plugins import Hooks
from jobistemer.core.schedules import AnySchedule

_OPTION_NAMES = frozenset(Options.__struct_fields__)
_POLICY_NAMES = frozenset(Job.__struct_fields__) - {"name", "schedule", "tasks"} | {"mode", "payload", "on_start"}
MODES = ("graph", "sequential", "parallel")


class Declarer(Protocol):
    """What a declaration needs of its app."""

    handlers: dict[str, Handler]
    hooks: Hooks
    declarations: dict[str, JobDeclaration]
    defaults: Options

    def add_handler(self, function: Callable[..., Any], name: str, options: Options) -> TaskHandle[Any, Any]:
        """Register a callable under a name."""
        ...


class JobDeclaration:
    """A job in the making: `@app.job("0 2 * * *")` over a function, or `nightly.task` over each of several.

    Besides the options of Options it takes the policies of Job (overlap, recovery, grace_s, calendars, …),
    payload (keyword arguments of the one function) and mode: `graph` (the default: tasks say what they come
    after), `sequential` (each after the one before) or `parallel` (no edges).
    """

    def __init__(self, app: Declarer, schedule: AnySchedule, name: str | None, policies: Mapping[str, Any]) -> None:
        self._app = app
        self._schedule = schedule
        self._policies, self._options = _split(policies)
        self._mode = self._policies.pop("mode", "graph")
        self._payload = self._policies.pop("payload", {})
        if self._mode not in MODES:
            raise InvalidDefinition(f"mode is {self._mode!r}, allowed are {', '.join(MODES)}")
        self._tasks: list[Task] = []
        self._on_start = self._policies.pop("on_start", None)
        self.name = ""
        if name is not None:
            self._take_name(name)

    def __call__(self, function: Callable[..., Any]) -> TaskHandle[Any, Any]:
        """Make the function the job's one task. Raises InvalidDefinition."""
        if not self.name:
            self._take_name(function.__name__)
        return self._add(function, self.name, self.name, (), self._payload, Options())

    def task(
        self,
        function: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        after: Sequence[str | TaskHandle[Any, Any]] = (),
        payload: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Add a task. after: tasks that must have succeeded before. payload: its keyword arguments."""
        if function is None:
            return lambda each: self.task(each, name=name, after=after, payload=payload, **options)
        if not self.name:
            raise InvalidDefinition('a job of several tasks needs a name: app.job(schedule, name="nightly")')
        own = name or function.__name__
        return self._add(function, own, f"{self.name}.{own}", self._upstream(after), payload or {}, Options(**options))

    def on_start(self, hook: Callable[[Context], object]) -> Callable[[Context], object]:
        """Have a function told the context of the first attempt of each occurrence; it cannot change what happens."""
        return self._app.hooks.on_start(ids.job_id(self.name), hook)

    def build(self) -> Job:
        """The definition as a value. Raises InvalidDefinition."""
        return Job(name=self.name, schedule=self._schedule, tasks=tuple(self._tasks), **self._policies)

    def _take_name(self, name: str) -> None:
        self.name = checked_name("job", name)
        if name in self._app.declarations:
            raise InvalidDefinition(f"job {name!r} is declared twice; names of an app's jobs are unique")
        self._app.declarations[name] = self
        if self._on_start is not None:
            self.on_start(self._on_start)

    def _upstream(self, after: Sequence[str | TaskHandle[Any, Any]]) -> tuple[str, ...]:
        if self._mode == "parallel" or (self._mode == "sequential" and not self._tasks):
            return ()
        if self._mode == "sequential":
            return (self._tasks[-1].name,)
        return tuple(each if isinstance(each, str) else each.name.rpartition(".")[2] for each in after)

    def _add(
        self,
        function: Callable[..., Any],
        name: str,
        handler_name: str,
        after: tuple[str, ...],
        payload: Mapping[str, Any],
        options: Options,
    ) -> TaskHandle[Any, Any]:
        effective = merged(self._app.defaults, self._options, options)
        handle = self._app.add_handler(function, handler_name, effective)
        checked = handle.handler.checked(payload) if payload else encode_payload(name, {})
        self._tasks.append(Task(name, handler_name, checked, after, effective))
        return handle


def _split(policies: Mapping[str, Any]) -> tuple[dict[str, Any], Options]:
    unknown = set(policies) - _OPTION_NAMES - _POLICY_NAMES
    if unknown:
        known = ", ".join(sorted(_OPTION_NAMES | _POLICY_NAMES))
        raise InvalidDefinition(f"a job has no option {', '.join(sorted(unknown))}; known are {known}")
    options = Options(**{key: value for key, value in policies.items() if key in _OPTION_NAMES})
    return {key: value for key, value in policies.items() if key in _POLICY_NAMES}, options
