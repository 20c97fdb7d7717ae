"""`shared_task`: functions as tasks, with the options and the methods that tasks of Celery have."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

import msgspec

from jobistemer.app import Jobistemer
from jobistemer.contrib.app_check import check_app
from jobistemer.contrib.celery.groups import declare_chords
from jobistemer.contrib.celery.links import NEXT, TASKS, AsyncResult, Link, build_request
from jobistemer.core.errors import InvalidInput
from jobistemer.core.handlers.context import Context
from jobistemer.core.handlers.control_errors import Retry
from jobistemer.core.jobs.limits import Rate
from jobistemer.core.jobs.retries import MAX_RETRIES, NO_RETRIES, Exponential

_PERIODS = {"s": 1, "m": 60, "h": 3600}
_CONTEXT = "jobistemer_context"
_IGNORED = {"acks_late", "ignore_result", "soft_time_limit", "serializer", "track_started", "reject_on_worker_lost"}
_shared: dict[str, SharedTask] = {}


def set_default_app(app: Jobistemer) -> None:
    """Declare the shared tasks, also those that follow, in this app. Raises InvalidDefinition, Misconfigured."""
    TASKS.app = check_app("set_default_app", app)
    declare_chords(app)
    for task in _shared.values():
        task.declare(app)


class SharedTask:
    """A function as a task of Celery's form. bind: its first parameter gets a `BoundTask`."""

    def __init__(self, function: Callable[..., Any], name: str, options: Mapping[str, Any], *, bind: bool) -> None:
        functools.update_wrapper(self, function)
        self.run, self.name, self.bind, self.options = function, name, bind, dict(options)
        self.max_retries = options.get("max_retries", 3)
        self.default_retry_delay = options.get("default_retry_delay", 180)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function in this process."""
        return self.run(BoundTask(self, None), *args, **kwargs) if self.bind else self.run(*args, **kwargs)

    def declare(self, app: Jobistemer) -> None:
        """Declare the task in an app, once."""
        if self.name not in app.handlers:
            app.task(name=self.name, **_read_options(self.options))(_wrap(self))

    def delay(self, *args: Any, **kwargs: Any) -> AsyncResult:
        """Enqueue a call with these arguments."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncResult:
        """Enqueue a call. options: countdown, eta, queue, priority (9 is the highest), expires. Raises InvalidInput."""
        return Link(self.name, list(args), dict(kwargs or {}), options).delay()

    def s(self, *args: Any, **kwargs: Any) -> Link:
        """Return the call as a value; a link of a chain gets the result before it as its first argument."""
        return Link(self.name, list(args), kwargs)

    signature = subtask = s

    def si(self, *args: Any, **kwargs: Any) -> Link:
        """Return the call as a value that takes no result."""
        return Link(self.name, list(args), kwargs, immutable=True)


class BoundTask:
    """The first parameter of a task with bind=True: its request, and `retry`."""

    def __init__(self, task: SharedTask, context: Context | None) -> None:
        self._task = task
        self.name = task.name
        self.context = context
        self.request = BoundRequest(context.run if context else "", context.attempt if context else 0)

    def retry(self, exc: BaseException | None = None, countdown: float | None = None, **_: Any) -> NoReturn:
        """Raise what has the run tried again; once the retries are used up, `exc` ends it."""
        if exc is not None and self.request.retries >= (self._task.max_retries or MAX_RETRIES):
            raise exc
        raise Retry(str(exc or "asked to be tried again"), after=countdown or self._task.default_retry_delay) from exc


class BoundRequest(msgspec.Struct, frozen=True):
    """The part of Celery's `self.request` that is known here. id: the run's id. retries: attempts before this one."""

    id: str
    retries: int


def shared_task(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Declare a function as a task: `@shared_task` or `@shared_task(bind=True, max_retries=5, queue="mail")`.

    options: name, bind, queue, priority, autoretry_for, retry_backoff, retry_backoff_max, retry_jitter, max_retries,
    default_retry_delay, time_limit, rate_limit; ignored are acks_late, ignore_result, soft_time_limit, serializer and
    track_started. Raises InvalidInput for any other.
    """
    if function is None:
        return functools.partial(shared_task, **options)
    given = dict(options)
    name, bind = given.pop("name", None) or f"{function.__module__}.{function.__name__}", bool(given.pop("bind", False))
    _read_options(given)
    task = _shared[name] = SharedTask(function, name, given, bind=bind)
    TASKS.functions[name] = function
    TASKS.bound.discard(name)
    TASKS.bound.update({name} if bind else ())
    if TASKS.app is not None:
        task.declare(TASKS.app)
    return task


def _wrap(task: SharedTask) -> Callable[..., Any]:
    """Return the function of a task with a context before its parameters, which enqueues the next link at its end."""

    def call(**arguments: Any) -> Any:
        context: Context = arguments.pop(_CONTEXT)
        first = (BoundTask(task, context),) if task.bind else ()
        result = task.run(*first, **arguments)
        if text := context.headers.get(NEXT):
            link, *rest = msgspec.json.decode(text, type=list[Link])
            before = () if link.immutable else (result,)
            context.transaction.enqueue(build_request(TASKS.require_app(), link, rest, before))
        return result

    functools.update_wrapper(call, task.run)
    parameters = list(inspect.signature(task.run).parameters.values())[1 if task.bind else 0 :]
    context = inspect.Parameter(_CONTEXT, inspect.Parameter.KEYWORD_ONLY, annotation=Context)
    # The wrapper has a parameter that the function has not: what reads its signature has to see both.
    vars(call)["__signature__"] = inspect.Signature([*parameters, context])
    call.__annotations__ = {**inspect.get_annotations(task.run, eval_str=True), _CONTEXT: Context}
    del vars(call)["__wrapped__"]
    return call


def _read_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of `app.task` for those of a task of Celery. Raises InvalidInput for one that is not known."""
    options = {name: value for name, value in given.items() if name not in _IGNORED}
    found: dict[str, Any] = {name: options.pop(name) for name in ("queue", "priority") if name in options}
    retry_on = tuple(options.pop("autoretry_for", ()))
    most = options.pop("max_retries", 3)
    most = MAX_RETRIES if most is None else most
    delay, backoff = options.pop("default_retry_delay", 180), options.pop("retry_backoff", False)
    cap, jitter = options.pop("retry_backoff_max", 600), options.pop("retry_jitter", True)
    if backoff:
        found["retry"] = Exponential(most, float(backoff), cap_s=float(cap), jitter=1.0 if jitter else 0.0)
    else:
        found["retry"] = Exponential(most, float(delay), 1.0, float(delay), 0.0) if most else NO_RETRIES
    # Without autoretry_for only `self.retry` has a run tried again, and that bypasses this filter.
    found["retry_on"] = retry_on or (_Nothing,)
    if limit := options.pop("time_limit", None):
        found["timeout_s"] = float(limit)
    if rate := options.pop("rate_limit", None):
        count, _, period = str(rate).partition("/")
        found["limits"] = (Rate(max(1, round(float(count))), _PERIODS[(period or "s")[0]]),)
    if options:
        raise InvalidInput(
            f"option {next(iter(options))!r} of a shared task has no equal; see docs/how-to/move-from-celery.md"
        )
    return found


class _Nothing(Exception):
    """The filter of a task whose errors are not retried: nothing raises it."""
