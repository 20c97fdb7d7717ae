"""Calls as values, chains of them, and the ends of their runs."""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from jobistemer.app import Jobistemer, RunHandle
from jobistemer.app.request import Request, new_run_id
from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidInput, Misconfigured, UnknownRun
from jobistemer.core.states import RunState

NEXT = "celery-next"
"""The header that carries the links of a chain after a run."""
_STATES = {
    RunState.PENDING: "PENDING",
    RunState.SCHEDULED: "PENDING",
    RunState.RUNNING: "STARTED",
    RunState.SUCCEEDED: "SUCCESS",
    RunState.CANCELED: "REVOKED",
    RunState.SKIPPED: "REVOKED",
}
_FAILED = "FAILURE"


class Link(msgspec.Struct, omit_defaults=True):
    """One call as a value: `add.s(1)`, and `add.si(1)` where the result before it is not handed on.

    run: the id of its run, once it is chosen.
    """

    task: str
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    options: dict[str, Any] = {}
    immutable: bool = False
    run: str = ""

    def set(self, **options: Any) -> Link:
        """Return the call with options of `apply_async`."""
        return msgspec.structs.replace(self, options={**self.options, **options})

    def delay(self) -> AsyncResult:
        """Enqueue the call."""
        return chain(self)()

    apply_async = __call__ = delay

    def __or__(self, other: Link | Chain) -> Chain:
        """Return the chain of this call and what follows."""
        return chain(self, *(other.links if isinstance(other, Chain) else [other]))


class Tasks:
    """The app of the shared tasks, once it is set, and the functions of the tasks by name.

    bound: the names of tasks whose first parameter is the task itself.
    """

    def __init__(self) -> None:
        self.app: Jobistemer | None = None
        self.functions: dict[str, Any] = {}
        self.bound: set[str] = set()

    def require_app(self) -> Jobistemer:
        """Return the app. Raises Misconfigured when none is set."""
        if self.app is None:
            raise Misconfigured(
                "shared tasks belong to no app yet: call jobistemer.contrib.celery.set_default_app(app)"
            )
        return self.app


TASKS = Tasks()


class Chain:
    """Calls one after the other; each gets the result of the one before as its first argument."""

    def __init__(self, links: list[Link]) -> None:
        if not links:
            raise InvalidInput("a chain has no calls; give chain(add.s(1, 2), add.s(3))")
        self.links = links

    def __or__(self, other: Link | Chain) -> Chain:
        """Return the chain with what follows."""
        return Chain([*self.links, *(other.links if isinstance(other, Chain) else [other])])

    def apply_async(self) -> AsyncResult:
        """Enqueue the first call; the others follow. Raises InvalidInput when their arguments are over 4,096 bytes."""
        app = TASKS.require_app()
        links = [msgspec.structs.replace(link, run=new_run_id()) for link in self.links]
        first, *rest = links
        app.enqueue_many([build_request(app, first, rest)])
        return AsyncResult(link.run for link in links)

    delay = __call__ = apply_async


def chain(*links: Link | Chain) -> Chain:
    """Return calls that follow one another."""
    return Chain([link for each in links for link in (each.links if isinstance(each, Chain) else [each])])


def wait_for_all(ids: Iterable[str], timeout: float | None) -> list[Any]:
    """Return the results of runs in their order. timeout: seconds for all of them together; None waits for ever.

    Raises RunFailed for the first that has failed, and ResultTimeout.
    """
    app = TASKS.require_app()
    until = None if timeout is None else time.monotonic() + timeout
    return [app.run(run).result(None if until is None else max(0.0, until - time.monotonic())) for run in ids]


class AsyncResult:
    """The end of one call, or of the last link of a chain. ids: the runs of all links, in order."""

    def __init__(self, ids: str | Iterable[str]) -> None:
        self.ids = [ids] if isinstance(ids, str) else list(ids)
        self.id = self.task_id = self.ids[-1]

    @property
    def handle(self) -> RunHandle[Any]:
        """The handle of the run."""
        return TASKS.require_app().run(self.id)

    def get(self, timeout: float | None = None, **_: Any) -> Any:
        """Wait for the result, `timeout` seconds in all. Raises RunFailed when a link has failed, and ResultTimeout."""
        return wait_for_all(self.ids, timeout)[-1]

    @property
    def state(self) -> str:
        """Celery's word for the state: PENDING, STARTED, RETRY, SUCCESS, FAILURE or REVOKED."""
        try:
            record = self.handle.record()
        except UnknownRun:
            return "PENDING"
        if record.state is RunState.SCHEDULED and record.attempt:
            return "RETRY"
        return _STATES.get(record.state, _FAILED)

    status = state

    def ready(self) -> bool:
        """Return whether the run has ended."""
        return self.state in ("SUCCESS", _FAILED, "REVOKED")

    def successful(self) -> bool:
        """Return whether it has succeeded."""
        return self.state == "SUCCESS"

    def failed(self) -> bool:
        """Return whether it has failed."""
        return self.state == _FAILED

    def revoke(self, **_: Any) -> None:
        """Cancel the run."""
        self.handle.cancel()


def build_request(app: Jobistemer, link: Link, rest: list[Link], before: tuple[Any, ...] = ()) -> Request:
    """Return the call of a link. rest: the links after it. before: the result before it. Raises InvalidInput."""
    options = dict(link.options)
    given: dict[str, Any] = {}
    if "countdown" in options:
        given["delay"] = options.pop("countdown")
    if "eta" in options:
        given["at"] = _read_instant("eta", options.pop("eta"))
    if (expires := options.pop("expires", None)) is not None:
        given["expires"] = _read_instant("expires", expires) if isinstance(expires, str) else expires
    given |= {name: options.pop(name) for name in ("queue", "priority") if name in options}
    if options:
        raise InvalidInput(
            f"option {next(iter(options))!r} of a call has no equal; known are countdown, eta, expires, queue, priority"
        )
    if rest:
        given["headers"] = {NEXT: msgspec.json.encode(rest).decode()}
    return app.request(link.task, bind_arguments(link, before), run_id=link.run, **given)


def bind_arguments(link: Link, before: tuple[Any, ...]) -> dict[str, Any]:
    """Return the arguments of a call by name. Raises InvalidInput for arguments that do not fit."""
    function, is_bound = TASKS.functions.get(link.task), link.task in TASKS.bound
    if function is None:
        raise InvalidInput(f"task {link.task!r} is not shared in this process; import the module that declares it")
    signature = inspect.signature(function)
    own = [None] if is_bound else []
    try:
        bound = signature.bind(*own, *before, *link.args, **link.kwargs).arguments
    except TypeError as error:
        raise InvalidInput(f"task {link.task!r}: {error}") from None
    if is_bound:
        bound.pop(next(iter(signature.parameters)))
    return bound


def _read_instant(name: str, value: Any) -> datetime:
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(found, datetime) or found.tzinfo is None:
        raise InvalidInput(f"{name} is {show(value)}, allowed is a datetime with a time zone")
    return found
