"""Declare the functions that a code base hands to RQ as tasks, and say where each is enqueued."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from jobistemer.core.errors import InvalidInput
from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.migrate.found import Found, FoundTask, Verdict
from jobistemer.migrate.loading import LEFT_OUT, describe_call, explain_refusal, name_function
from jobistemer.migrate.names import clean_name
from jobistemer.migrate.rq_source import EnqueuedFunction, SourceTree

_SHOWN_PLACES = 5


def declare_enqueued(tree: SourceTree, found: Found) -> None:
    """Add a task for each function that the calls of a source tree hand to RQ, and remarks for what cannot be one.

    The root of the tree stands on the path of imports.
    """
    by_reference: dict[str, list[EnqueuedFunction]] = {}
    for call in tree.calls:
        if call.reference:
            by_reference.setdefault(call.reference, []).append(call)
        else:
            text = f"enqueues {call.text!r}, which the source does not name: declare each function that it can be"
            found.remark(call.place, Verdict.NO_EQUAL, text)
    for reference, calls in sorted(by_reference.items()):
        _declare(reference, calls, found)
    for path, reason in tree.unread:
        found.remark(path, Verdict.NO_EQUAL, f"the file cannot be read: {reason}")


def choose_task_name(function: Callable[..., Any], reference: str, found: Found) -> str:
    """Return the name of a function's task: that of the function, with its module where another has it already."""
    name = clean_name(function.__name__)
    taken = {each.name for each in found.tasks}
    return name if name not in taken else clean_name(reference.replace(":", "."))


def _declare(reference: str, calls: list[EnqueuedFunction], found: Found) -> None:
    where = f"enqueued at {_list_places(calls)}"
    try:
        function = _import_function(reference)
    except InvalidInput as error:
        found.remark(reference, Verdict.NO_EQUAL, f"{error}; {where}")
        return
    path = name_function(function) if callable(function) else None
    if path is None:
        # A value of that name: the call is not one of RQ, or hands over what no module can import.
        found.remark(reference, Verdict.NO_EQUAL, f"it is no function that a module can import; {where}")
        return
    if any(each.reference == path for each in found.tasks):
        found.remark(path, Verdict.SAME, where)
        return
    described = describe_call(function.__name__, function)
    if described is None:
        found.remark(path, Verdict.NO_EQUAL, f"{explain_refusal(function.__name__, function)}; {where}")
        return
    if described[0] != "plain":
        found.remark(path, Verdict.DIFFERS, LEFT_OUT)
    name = choose_task_name(function, path, found)
    options = sorted({option for call in calls for option in call.options})
    with_options = f" with {', '.join(options)}, which are options of the task or of its call" if options else ""
    found.remark(path, Verdict.DIFFERS, f"{where}{with_options}: write {name}.enqueue(…) there")
    found.tasks.append(FoundTask(name, path, *described, options={"retry": NO_RETRIES}))


def _list_places(calls: Iterable[EnqueuedFunction]) -> str:
    places = [call.place for call in calls]
    more = f" and {len(places) - _SHOWN_PLACES} more" if len(places) > _SHOWN_PLACES else ""
    return ", ".join(places[:_SHOWN_PLACES]) + more


def _import_function(reference: str) -> Any:
    """Import what a dotted path stands for. Raises InvalidInput where it cannot be imported."""
    parts = reference.replace(":", ".").split(".")
    try:
        found = import_module(parts[0])
        for at, part in enumerate(parts[1:], start=1):
            path = ".".join(parts[: at + 1])
            is_module = not hasattr(found, part) and hasattr(found, "__path__") and find_spec(path)
            found = import_module(path) if is_module else getattr(found, part)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise InvalidInput(f"it cannot be imported: {type(error).__name__}: {error}") from error
    return found
