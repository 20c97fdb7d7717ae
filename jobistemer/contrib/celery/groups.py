"""Groups and chords: calls at the same time, and a body that gets the list of their results."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from jobistemer.app import Jobistemer
from jobistemer.app.request import new_run_id
from jobistemer.contrib.celery.links import TASKS, AsyncResult, Link, bind_arguments, build_request, wait_for_all
from jobistemer.core.errors import InvalidInput
from jobistemer.core.handlers.context import Context
from jobistemer.core.runs.results import Results

BODY = "celery-body"
"""The header that carries the body of a chord to its reducer."""


class Group:
    """Calls at the same time."""

    def __init__(self, links: Iterable[Link]) -> None:
        self.links = list(links)

    def apply_async(self) -> GroupResult:
        """Enqueue all calls."""
        app = TASKS.require_app()
        handles = app.enqueue_many([build_request(app, link, []) for link in self.links])
        return GroupResult([AsyncResult(handle.id) for handle in handles])

    delay = __call__ = apply_async


def group(*links: Link | Iterable[Link]) -> Group:
    """Return calls that are made at the same time: `group(add.s(1, 1), add.s(2, 2))`, or of one iterable."""
    return Group([link for each in links for link in ([each] if isinstance(each, Link) else each)])


class GroupResult:
    """The ends of the calls of a group, in their order."""

    def __init__(self, results: list[AsyncResult]) -> None:
        self.results = results

    def get(self, timeout: float | None = None) -> list[Any]:
        """Wait for all results, `timeout` seconds in all. Raises what the first that failed raises."""
        return wait_for_all([result.id for result in self.results], timeout)

    def ready(self) -> bool:
        """Return whether all have ended."""
        return all(result.ready() for result in self.results)

    def successful(self) -> bool:
        """Return whether all have succeeded."""
        return all(result.successful() for result in self.results)


class chord:  # noqa: N801 - Celery's name, called like a function
    """Calls at the same time, and a body that gets the list of their results: `chord(header)(body)`."""

    def __init__(self, header: Group | Iterable[Link], body: Link | None = None) -> None:
        self.header = header if isinstance(header, Group) else Group(header)
        self.body = body

    def __call__(self, body: Link | None = None) -> AsyncResult:
        """Enqueue the chord. Returns the end of the body. Raises InvalidInput without a body."""
        chosen = body or self.body
        if chosen is None:
            raise InvalidInput("a chord has no body; give chord(header)(total.s())")
        app = TASKS.require_app()
        last = msgspec.structs.replace(chosen, run=new_run_id())
        parent, calls = new_run_id(), msgspec.to_builtins(self.header.links)
        headers = {BODY: msgspec.json.encode(last).decode()}
        app.enqueue_many([app.request("celery.chord", {"calls": calls}, headers=headers, run_id=parent)])
        return AsyncResult([parent, last.run])

    apply_async = delay = __call__


def declare_chords(app: Jobistemer) -> None:
    """Declare the tasks that chords are made of, once."""
    if "celery.chord" not in app.handlers:
        app.task(name="celery.chord")(_map_chord)
        app.task(name="celery.call")(_call)
        app.task(name="celery.chord_end")(_end_chord)


def _map_chord(ctx: Context, calls: list[Link]) -> None:
    """Make a run of each call of a chord's header: of its task where all have the same, else of `celery.call`."""
    names = {call.task for call in calls}
    if len(names) == 1 and not any(call.options for call in calls):
        (name,) = names
        ctx.map(name, [bind_arguments(call, ()) for call in calls], reduce="celery.chord_end")
    else:
        ctx.map("celery.call", [{"call": msgspec.to_builtins(call)} for call in calls], reduce="celery.chord_end")


def _call(call: Link) -> Any:
    return TASKS.functions[call.task](*call.args, **call.kwargs)


def _end_chord(ctx: Context, results: Results[Any]) -> None:
    app, body = TASKS.require_app(), msgspec.json.decode(ctx.headers[BODY], type=Link)
    ctx.transaction.enqueue(build_request(app, body, [], (list(results),)))
