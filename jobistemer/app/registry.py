"""The declarations of an application: its tasks and its jobs, by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from jobistemer.app.decorators import Do, TaskDecorator
from jobistemer.app.handles import TaskHandle
from jobistemer.app.job_declaration import JobDeclaration, split_task_options
from jobistemer.app.lifetime import Lifetime
from jobistemer.app.producer import Producer
from jobistemer.app.relays import Relay
from jobistemer.app.request import Request, build_request
from jobistemer.app.worker_resources import WorkerResources
from jobistemer.core.checks import check_name, show
from jobistemer.core.errors import InvalidDefinition, UnknownJob
from jobistemer.core.handlers.callables import find_name
from jobistemer.core.handlers.context import Context
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.handlers.hooks import Hooks
from jobistemer.core.handlers.waits.signal_types import read_signal_types
from jobistemer.core.jobs.effective_options import find_effective_options
from jobistemer.core.jobs.job import Job
from jobistemer.core.jobs.limits import Limit, check_limits
from jobistemer.core.jobs.options import EffectiveOption, Options, merge_options, resolve_options
from jobistemer.core.jobs.retryable import build_retry_filter
from jobistemer.core.schedules import AnySchedule, EveryBuilder, Ready, parse_schedule
from jobistemer.core.schedules import at as once_at
from jobistemer.core.sizes import Sizes
from jobistemer.store.namespace import Namespace

P = ParamSpec("P")
R = TypeVar("R")


class Registry(Lifetime, WorkerResources):
    """The tasks and jobs of an application, with the defaults, hooks and limits that they share."""

    def __init__(self, namespace: Namespace, defaults: Options, sizes: Sizes) -> None:
        super().__init__()
        self.namespace = namespace
        self.defaults = defaults
        self.sizes = sizes
        self.hooks = Hooks()
        self.declarations: dict[str, JobDeclaration] = {}
        self.queue_limits: dict[str, tuple[Limit, ...]] = {}
        # Queues that no task names and calls go to; workers of this app serve them by default.
        self.further_queues: set[str] = set()
        self.producer = Producer(namespace, self.handlers, defaults, self.hooks, sizes)
        # By the names of their jobs.
        self.relays: dict[str, Relay] = {}
        self._levels: dict[str, list[tuple[str, Options]]] = {}

    @overload
    def task(self, function: Callable[Concatenate[Context, P], Awaitable[R]], /) -> TaskHandle[P, R]: ...
    @overload
    def task(self, function: Callable[Concatenate[Context, P], R], /) -> TaskHandle[P, R]: ...
    @overload
    def task(self, function: Callable[P, Awaitable[R]], /) -> TaskHandle[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> TaskHandle[P, R]: ...
    @overload
    def task(self, /, *, name: str | None = None, **options: Any) -> TaskDecorator: ...
    def task(self, function: Any = None, /, *, name: str | None = None, **options: Any) -> Any:
        """Declare a function as a task that can be enqueued: `@app.task` or `@app.task(queue="mail", …)`.

        options: see Options; also retry_on, no_retry_on, and signals: the types of the signals that its handler waits
        for, by name; `app.signal` refuses a value that does not fit. Raises InvalidDefinition or InvalidName.
        """
        traits, own = split_task_options(options)
        levels = [("app", self.defaults), ("task", own)]
        make = TaskDecorator(lambda each: self.add_handler(each, find_name(each, name), levels, **traits))
        return make if function is None else make(function)

    def job(
        self, schedule: AnySchedule | str | timedelta | datetime, *, name: str | None = None, **policies: Any
    ) -> JobDeclaration:
        """Declare a scheduled job: as a decorator of its one function, or with several tasks by its `task` method.

        schedule: a schedule value, a cron expression, an ISO 8601 interval, a timedelta or a datetime.
        policies and options: see JobDeclaration. Raises InvalidSchedule or InvalidDefinition.
        """
        timezone = policies.pop("timezone", "UTC")
        return JobDeclaration(self, parse_schedule(schedule, timezone), name, policies)

    def every(self, count: int = 1, timezone: str = "UTC") -> EveryBuilder[Do]:
        """Declare a job in words: `app.every(5).minutes.do(check)`, `app.every().monday.at("09:00").do(report)`.

        `do` takes the function and the policies of `job`. Raises InvalidSchedule.
        """
        return EveryBuilder(partial(_build_job_decorator, self), count, timezone)

    def at(self, when: datetime | str, timezone: str | None = None) -> Ready[Do]:
        """Declare a job that is due once: `app.at("2030-01-01T00:00:00Z").do(celebrate)`. Raises InvalidSchedule."""
        return once_at(when, partial(_build_job_decorator, self), timezone)

    def limit_queue(self, queue: str, *limits: Limit) -> None:
        """Limit the runs of a queue in the whole cluster: `app.limit_queue("mail", Concurrency(5))`.

        The limit holds for every worker that runs this app. Raises InvalidDefinition or InvalidName.
        """
        if not limits:
            raise InvalidDefinition(f"queue {show(queue)} is given no limit, write limit_queue(…, Concurrency(5))")
        self.queue_limits[check_name("queue", queue)] = check_limits(f"queue {show(queue)}", limits)

    def jobs(self) -> list[Job]:
        """Return the declared jobs. Raises InvalidDefinition."""
        return [declaration.build() for declaration in self.declarations.values()]

    def effective_options(self, task: str, **call: Any) -> dict[str, EffectiveOption]:
        """Return the options that apply to a call of a task, each with its level: call, task, job, app or default."""
        levels = self.levels_of(task)
        request = build_request(task, **call)
        return resolve_options([*levels, ("call", request.options)])

    def job_options(self, job: str) -> dict[str, dict[str, EffectiveOption]]:
        """Return the options that apply in an occurrence of a declared job, by task. Raises UnknownJob."""
        if job not in self.declarations:
            raise UnknownJob(f"no job {show(job)} is declared on this app; declared are {', '.join(self.declarations)}")
        definition = self.declarations[job].build()
        return {task.name: find_effective_options(definition, task) for task in definition.tasks}

    def levels_of(self, task: str) -> list[tuple[str, Options]]:
        """Return the options of app, job and task that a task was declared with, in this order."""
        return self._levels.get(task, [("app", self.defaults)])

    def add_handler(
        self, function: Callable[..., Any], name: str, levels: list[tuple[str, Options]], **traits: Any
    ) -> TaskHandle[Any, Any]:
        """Register a function as a task; levels: the options of app, job and task, in this order.

        Raises InvalidDefinition or InvalidName.
        """
        if check_name("handler", name) in self.handlers:
            raise InvalidDefinition(f"task {show(name)} is declared twice; names of an app's tasks are unique")
        if isinstance(function, TaskHandle):
            raise InvalidDefinition(
                f"{show(name)} is to be made of task {function.name!r}, which is declared already: a job declares its "
                "function itself, so leave out @app.task there"
            )
        upstream = traits.pop("upstream", ())
        options = merge_options(*(level for _, level in levels))
        signals = read_signal_types(name, traits.pop("signals", {}))
        traits = {"retry_filter": build_retry_filter(name, **traits), "sizes": self.sizes, "signals": signals}
        traits["providers"] = self.providers
        handler = Handler(name, function, options, upstream=upstream, queue_limits=self.queue_limits, **traits)
        self.handlers[name], self._levels[name] = handler, levels
        return TaskHandle(handler, self.producer, Request(name))


def _build_job_decorator(registry: Registry, schedule: AnySchedule) -> Do:
    return partial(_make_job, registry, schedule)


def _make_job(registry: Registry, schedule: AnySchedule, function: Any, /, **policies: Any) -> Any:
    return registry.job(schedule, **policies)(function)
