"""What an application hangs onto the way of a run: middleware around each attempt, and hooks that are told.

One hook is not told but entered, around the call that enqueues: headers have to be known before a run is.

Middleware is part of the attempt: an exception in it is the attempt's. A hook is only told: what it raises is logged
and changes nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from jobistemer.core.errors import InvalidDefinition
from jobistemer.core.handlers.context import Context
from jobistemer.core.runs.message import Message
from jobistemer.core.states import AttemptState, RunState

Middleware = Callable[[Context], AbstractContextManager[Any]]
"""Makes the context manager that an attempt runs in; the same for plain functions and coroutines."""
PrepareCall = Callable[[Any, Any], Any]
"""From the keys of a shard and a request to the message and the call that enqueues it on that shard."""
HeaderSource = Callable[[Message], Mapping[str, str]]
"""Gives the headers that are to travel with a run, from its message."""
EnqueueHook = Callable[[], AbstractContextManager[HeaderSource]]
"""Makes the context manager that a call is enqueued in."""
M = TypeVar("M", bound=Middleware)
H = TypeVar("H", bound=Callable[..., object])


class AttemptEnded(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt whose end is on record; what `after_run`, `on_retry` and `on_dead` are told.

    retry_after_s: seconds until the next attempt, None when there is none. run_state: where the run stands now.
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
    """Functions that are told what happens, each with one value; their decorators are the names of the moments."""

    def __init__(self) -> None:
        self.enqueueing: list[EnqueueHook] = []
        self.enqueued: list[Callable[[Message], object]] = []
        self.starting: list[Callable[[Context], object]] = []
        self.ended: list[Callable[[AttemptEnded], object]] = []
        self.retried: list[Callable[[AttemptEnded], object]] = []
        self.died: list[Callable[[AttemptEnded], object]] = []
        self.occurrence_starting: dict[str, list[Callable[[Context], object]]] = {}

    def around_enqueue(self, hook: EnqueueHook) -> EnqueueHook:
        """Entered around each call that is enqueued; what it gives is asked for headers. A call's own go before them.

        It is part of the call, as middleware is of an attempt: what it raises, the call raises. Of many that are
        enqueued together each has its own, which is left before they are sent.
        """
        return _register(self.enqueueing, hook)

    def on_enqueue(self, hook: Callable[[Message], object]) -> Callable[[Message], object]:
        """Told the message of each new run, by the process that enqueued it, after it was stored."""
        return _register(self.enqueued, hook)

    def before_run(self, hook: Callable[[Context], object]) -> Callable[[Context], object]:
        """Told the context of each attempt, in its slot, right before its handler is called."""
        return _register(self.starting, hook)

    def after_run(self, hook: Callable[[AttemptEnded], object]) -> Callable[[AttemptEnded], object]:
        """Told of each attempt, after its end was recorded; outcomes that were refused are not told."""
        return _register(self.ended, hook)

    def on_retry(self, hook: Callable[[AttemptEnded], object]) -> Callable[[AttemptEnded], object]:
        """Told of each attempt that another one follows."""
        return _register(self.retried, hook)

    def on_dead(self, hook: Callable[[AttemptEnded], object]) -> Callable[[AttemptEnded], object]:
        """Told of each attempt that left its run in the dead letters."""
        return _register(self.died, hook)

    def on_start(self, job: str, hook: Callable[[Context], object]) -> Callable[[Context], object]:
        """Told the context of the first attempt of each occurrence of the job with this id."""
        return _register(self.occurrence_starting.setdefault(job, []), hook)

    @property
    def has_outcome_hooks(self) -> bool:
        """Whether anybody wants to know how attempts end."""
        return bool(self.ended or self.retried or self.died or self.enqueued)


class MiddlewareChain:
    """The middleware of an app, the outermost first; `@app.middleware` adds to it."""

    def __init__(self) -> None:
        self.links: list[Middleware] = []

    def __call__(self, middleware: M) -> M:
        """Add a link inside of those that are there. Raises InvalidDefinition."""
        return _register(self.links, middleware)


class Plugins(msgspec.Struct, frozen=True):
    """Everything that a worker takes from its app besides the handlers; prepare is None without an app."""

    chain: MiddlewareChain = msgspec.field(default_factory=MiddlewareChain)
    hooks: Hooks = msgspec.field(default_factory=Hooks)
    prepare: PrepareCall | None = None


def _register(where: list[Any], function: H) -> H:
    if not callable(function) or inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidDefinition(
            f"{function!r:.120} cannot be middleware or a hook: give a plain function of one argument "
            "(middleware: one that returns a context manager, such as with @contextlib.contextmanager)"
        )
    where.append(function)
    return function
