"""Middleware around each attempt, and hooks that are called on events of a run.

Middleware is part of the attempt: an exception in it is the attempt's. An exception in a hook is logged and changes
nothing. One hook is different: `around_enqueue` is a context manager around the call that enqueues, because headers
have to be known before the run is stored.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidDefinition
from jobistemer.core.handlers.context import Context
from jobistemer.core.handlers.worker_hooks import WorkerHooks
from jobistemer.core.runs.message import Message
from jobistemer.core.states import AttemptState, RunState

Middleware = Callable[[Context], AbstractContextManager[Any]]
"""A function that returns the context manager around an attempt; the same for plain functions and coroutines."""
PrepareCall = Callable[[Any, Any], Any]
"""A function from the keys of a shard and a request to the message and the call that enqueues it there."""
HeaderSource = Callable[[Message], Mapping[str, str]]
"""A function from the message of a run to the headers that travel with it."""
EnqueueHook = Callable[[], AbstractContextManager[HeaderSource]]
"""A function that returns the context manager around a call that is enqueued."""
M = TypeVar("M", bound=Middleware)
H = TypeVar("H", bound=Callable[..., object])


class AttemptEnded(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt whose end is on record; the argument of `after_run`, `on_retry` and `on_dead`.

    retry_after_s: seconds until the next attempt, None when there is none. run_state: the state of the run now.
    """

    run: str
    handler: str
    attempt: int
    state: AttemptState
    run_state: RunState
    worker: str
    started_at: datetime
    ended_at: datetime
    error: str = ""
    retry_after_s: float | None = None
    job: str | None = None
    occurrence: str | None = None
    metadata: dict[str, str] = {}


class Hooks:
    """The hooks of an app, by event; each is a function of one argument, added by a decorator."""

    def __init__(self) -> None:
        self.enqueueing: list[EnqueueHook] = []
        self.enqueued: list[Callable[[Message], object]] = []
        self.starting: list[Callable[[Context], object]] = []
        self.ended: list[Callable[[AttemptEnded], object]] = []
        self.retried: list[Callable[[AttemptEnded], object]] = []
        self.died: list[Callable[[AttemptEnded], object]] = []
        self.occurrence_starting: dict[str, list[Callable[[Context], object]]] = {}

    def around_enqueue(self, hook: EnqueueHook) -> EnqueueHook:
        """Add a context manager around each call that is enqueued; its value is asked for headers.

        Headers that the call gives itself take precedence. An exception in it is raised by the call. Of many calls that
        are enqueued together each has its own context, which is left before they are sent.
        """
        return _register(self.enqueueing, hook)

    def on_enqueue(self, hook: Callable[[Message], object]) -> Callable[[Message], object]:
        """Add a hook with the message of each new run, called by the enqueuing process after it was stored."""
        return _register(self.enqueued, hook)

    def before_run(self, hook: Callable[[Context], object]) -> Callable[[Context], object]:
        """Add a hook with the context of each attempt, called in its slot right before its handler."""
        return _register(self.starting, hook)

    def after_run(self, hook: Callable[[AttemptEnded], object]) -> Callable[[AttemptEnded], object]:
        """Add a hook with each attempt, called after its end was recorded; refused outcomes are left out."""
        return _register(self.ended, hook)

    def on_retry(self, hook: Callable[[AttemptEnded], object]) -> Callable[[AttemptEnded], object]:
        """Add a hook with each attempt that another one follows."""
        return _register(self.retried, hook)

    def on_dead(self, hook: Callable[[AttemptEnded], object]) -> Callable[[AttemptEnded], object]:
        """Add a hook with each attempt that left its run in the dead letters."""
        return _register(self.died, hook)

    def on_start(self, job: str, hook: Callable[[Context], object]) -> Callable[[Context], object]:
        """Add a hook with the context of the first attempt of each occurrence of the job with this id."""
        return _register(self.occurrence_starting.setdefault(job, []), hook)

    @property
    def has_outcome_hooks(self) -> bool:
        """Return whether any hook needs the ends of attempts."""
        return bool(self.ended or self.retried or self.died or self.enqueued)


class MiddlewareChain:
    """The middleware of an app, the outermost first; `@app.middleware` adds to it."""

    def __init__(self) -> None:
        self.links: list[Middleware] = []

    def __call__(self, middleware: M) -> M:
        """Add a middleware inside of the earlier ones. Raises InvalidDefinition for what is no function."""
        return _register(self.links, middleware)


class Plugins(msgspec.Struct, frozen=True):
    """Everything that a worker takes from its app besides the handlers; prepare is None without an app.

    overrides: providers that are called in place of others.
    """

    chain: MiddlewareChain = msgspec.field(default_factory=MiddlewareChain)
    hooks: Hooks = msgspec.field(default_factory=Hooks)
    prepare: PrepareCall | None = None
    worker_hooks: WorkerHooks = msgspec.field(default_factory=WorkerHooks)
    overrides: dict[Any, Any] = {}


def _register(functions: list[Any], function: H) -> H:
    if not callable(function) or inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidDefinition(
            f"{show(function)} cannot be middleware or a hook: give a plain function of one argument "
            "(middleware: one that returns a context manager, such as with @contextlib.contextmanager)"
        )
    functions.append(function)
    return function
