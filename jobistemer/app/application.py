"""The app object: where an application declares its tasks and jobs, and enqueues calls."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

import msgspec

from jobistemer.app.control import JobControl, Registered
from jobistemer.app.declare import JobDeclaration, taken_apart
from jobistemer.app.follow_ups import prepare_beside
from jobistemer.app.handles import RunHandle, TaskHandle, run_handle
from jobistemer.app.operating import Holds, QueueControl
from jobistemer.app.producer import Producer, Sent
from jobistemer.app.requests import Request, build_request
from jobistemer.core.cascade import options_of
from jobistemer.core.context import Context
from jobistemer.core.errors import InvalidDefinition, UnknownJob
from jobistemer.core.handlers import Handler
from jobistemer.core.limits import Limit, checked_limits
from jobistemer.core.models import Job
from jobistemer.core.names import checked_name
from jobistemer.core.options import Effective, Options, merged, resolve
from jobistemer.core.plugins import Chain, Hooks, Plugins
from jobistemer.core.report import Report
from jobistemer.core.retrying import retrying
from jobistemer.core.schedules import parse_schedule
from jobistemer.core.sizes import DEFAULT_SIZES, Sizes
from jobistemer.store.connection import DEFAULT_URL
from jobistemer.store.namespace import Namespace
from jobistemer.store.reports import find_report

P = ParamSpec("P")
R = TypeVar("R")


class TaskDecorator(Protocol):
    """What `@app.task(…)` with options is: it makes a task of a function, like `@app.task` without."""

    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], Awaitable[R]], /) -> TaskHandle[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], R], /) -> TaskHandle[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, Awaitable[R]], /) -> TaskHandle[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> TaskHandle[P, R]: ...


class Jobistemer:
    """An application's tasks and jobs.

    url: the server, by default JOBISTEMER_URL or redis://localhost:6379/0. namespace: what all keys begin with.
    shards: see the reference; 1 unless the namespace was created with more. defaults: options of every task.
    sizes: how large payloads and results may be.
    Nothing is connected before something is enqueued or looked up.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        namespace: str | None = None,
        shards: int | None = None,
        defaults: Options | None = None,
        sizes: Sizes = DEFAULT_SIZES,
    ) -> None:
        name = namespace or os.environ.get("JOBISTEMER_NAMESPACE", "jobistemer")
        self.namespace = Namespace(url or os.environ.get("JOBISTEMER_URL", DEFAULT_URL), name, shards)
        self.handlers: dict[str, Handler] = {}
        self.declarations: dict[str, JobDeclaration] = {}
        self.queue_limits: dict[str, tuple[Limit, ...]] = {}
        self.defaults = defaults or Options()
        self.owner = ""
        self.hooks, self.middleware = Hooks(), Chain()
        self.sizes = sizes
        self.producer = Producer(self.namespace, self.handlers, self.defaults, self.hooks, sizes)
        self._levels: dict[str, list[tuple[str, Options]]] = {}
        self.control = JobControl(self.namespace)
        self.queues = QueueControl(self.namespace)
        self.holds = Holds(self.namespace)

    @property
    def plugins(self) -> Plugins:
        """What a worker takes besides the handlers."""
        return Plugins(self.middleware, self.hooks, partial(prepare_beside, self.producer))

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
        """Declare a function that can be enqueued: `@app.task` or `@app.task(queue="mail", …)`.

        options: see Options. Raises InvalidDefinition or InvalidName.
        """
        if function is None:
            return lambda each: self._declared(each, name or each.__name__, options)
        return self._declared(function, name or function.__name__, options)

    def job(self, schedule: Any, *, name: str | None = None, **policies: Any) -> JobDeclaration:
        """Declare a scheduled job: as a decorator of its one function, or with several tasks by its `task` method.

        schedule: a schedule value, a cron expression, an ISO 8601 interval, a timedelta or a datetime.
        policies and options: see JobDeclaration. Raises InvalidSchedule or InvalidDefinition.
        """
        timezone = policies.pop("timezone", "UTC")
        return JobDeclaration(self, parse_schedule(schedule, timezone), name, policies)

    def limit_queue(self, queue: str, *limits: Limit) -> None:
        """Limit what runs from a queue, in the whole cluster: `app.limit_queue("mail", Concurrency(5))`.

        It holds for every worker that runs this app. Raises InvalidDefinition or InvalidName.
        """
        self.queue_limits[checked_name("queue", queue)] = checked_limits(f"queue {queue!r}", limits)

    def enqueue(self, task: str, payload: Mapping[str, Any] | None = None, **call: Any) -> RunHandle[Any]:
        """Have a worker run the task of this name; its code need not be known here.

        call: what `TaskHandle.options` takes. Raises InvalidPayload, InvalidInput, QueueClosed, NotConnected, ….
        """
        return self._handle(self.producer.send(build_request(task, payload, **call)))

    async def enqueue_async(self, task: str, payload: Mapping[str, Any] | None = None, **call: Any) -> RunHandle[Any]:
        """Like `enqueue`, awaited."""
        return self._handle(await self.producer.send_async(build_request(task, payload, **call)))

    def enqueue_at(
        self, at: datetime, task: str, payload: Mapping[str, Any] | None = None, **call: Any
    ) -> RunHandle[Any]:
        """Like `enqueue`, to start at an instant."""
        return self.enqueue(task, payload, at=at, **call)

    def enqueue_many(self, requests: Iterable[Request]) -> list[RunHandle[Any]]:
        """Enqueue many calls, a thousand a round trip; requests come from `task.request(…)` or `app.request(…)`."""
        return [self._handle(sent) for sent in self.producer.send_many(requests)]

    def request(self, task: str, payload: Mapping[str, Any] | None = None, **call: Any) -> Request:
        """A call as a value."""
        return build_request(task, payload, **call)

    def run(self, run_id: str) -> RunHandle[Any]:
        """The handle of a run by its id; whether it is on record shows when it is asked."""
        return RunHandle(self.namespace, run_id, None, msgspec.json.decode, existing=True)

    def jobs(self) -> list[Job]:
        """The jobs as they are declared."""
        return [declaration.build() for declaration in self.declarations.values()]

    def deploy(self) -> list[Registered]:
        """Register every declared job; unchanged ones stay as they are, and so do those that are newer.

        Processes may do this at each start: an old one that starts beside new ones undoes nothing. To see a plan
        before, and to remove what is no longer declared, use `jobistemer deploy`.
        """
        return [self.control.register(job, owner=self.owner) for job in self.jobs()]

    def effective_options(self, task: str, **call: Any) -> dict[str, Effective]:
        """What applies when a task is enqueued so, and which level says it: call, task, job, app or default."""
        levels = self._levels.get(task, [("app", self.defaults)])
        return resolve([*levels, ("call", Options(**call))])

    def job_options(self, job: str) -> dict[str, dict[str, Effective]]:
        """What applies in an occurrence of a declared job, by task. Raises UnknownJob."""
        if job not in self.declarations:
            raise UnknownJob(f"no job {job!r} is declared on this app; declared are {', '.join(self.declarations)}")
        definition = self.declarations[job].build()
        return {task.name: options_of(definition, task) for task in definition.tasks}

    def report(self, occurrence_id: str) -> Report:
        """The execution report of an occurrence, also while it goes on. Raises UnknownOccurrence."""
        return find_report(self.namespace.shards, occurrence_id)

    def add_handler(
        self, function: Callable[..., Any], name: str, levels: list[tuple[str, Options]], **traits: Any
    ) -> TaskHandle[Any, Any]:
        """Register a callable under a name; levels: what app, job and task say. Raises InvalidDefinition."""
        if name in self.handlers:
            raise InvalidDefinition(f"task {name!r} is declared twice; names of an app's tasks are unique")
        upstream = traits.pop("upstream", ())
        options = merged(*(level for _, level in levels))
        traits = {"retrying": retrying(name, **traits), "sizes": self.sizes}
        handler = Handler(name, function, options, upstream=upstream, queue_limits=self.queue_limits, **traits)
        self.handlers[name], self._levels[name] = handler, levels
        return TaskHandle(handler, self.producer, Request(name))

    def _declared(self, function: Callable[..., Any], name: str, given: Mapping[str, Any]) -> TaskHandle[Any, Any]:
        traits, own = taken_apart(given)
        return self.add_handler(function, name, [("app", self.defaults), ("task", own)], **traits)

    def _handle(self, sent: Sent) -> RunHandle[Any]:
        handler = self.handlers.get(sent.task)
        return run_handle(self.namespace, sent, handler.decode_result if handler else msgspec.json.decode)
