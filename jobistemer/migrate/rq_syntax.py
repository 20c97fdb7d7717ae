"""Which expression of a call is the function that it hands to RQ, also through a function of the application."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

# How many arguments stand before the function.
_CALLS = {"enqueue": 0, "enqueue_call": 0, "prepare_data": 0, "enqueue_at": 1, "enqueue_in": 1}
_OF_RQ_SCHEDULER = {"schedule": 1, "cron": 1}
# Others have methods of these names, too: what is called has to look like a queue.
_QUEUE = re.compile(r"queue|scheduler|\brq\b|(^|[._])q$", re.IGNORECASE)


# A method is found by its name alone, so it has to say what it does.
_STARTS_WORK = re.compile(r"enqueue|queue|job|task|schedul|defer|delay|submit|start|dispatch|async|background")


class Wrapper(NamedTuple):
    """A function of the application that hands a parameter of its own to RQ.

    at: the position of the parameter, as callers count. inner: the calls by which it does so.
    """

    name: str
    is_method: bool
    at: int
    parameter: str
    inner: list[ast.Call]


def find_function(call: ast.Call, wrapper: Wrapper | None = None) -> ast.expr | None:
    """Return the function that a call hands to RQ; None for any other call. wrapper: the one that is called, if any."""
    at = wrapper.at if wrapper is not None else _count_before(call.func)
    names = {"func", "f"} if wrapper is None else {wrapper.parameter}
    if at is None:
        return None
    for keyword in call.keywords:
        if keyword.arg in names:
            return keyword.value
    return call.args[at] if len(call.args) > at and not isinstance(call.args[at], ast.Starred) else None


def find_wrappers(syntax: ast.AST) -> Iterator[Wrapper]:
    """Yield the functions that hand a parameter of theirs to RQ."""
    for node in ast.walk(syntax):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        parameters = [each.arg for each in (*node.args.posonlyargs, *node.args.args)]
        is_method = parameters[:1] in (["self"], ["cls"])
        handed = [(call, name) for call, name in _list_handed(node) if name in parameters]
        if handed and (not is_method or _STARTS_WORK.search(node.name)):
            # A method is called without its first parameter.
            at = parameters.index(handed[0][1]) - is_method
            yield Wrapper(node.name, is_method, at, handed[0][1], [call for call, _ in handed])


_ALIAS = Wrapper("", is_method=False, at=0, parameter="func", inner=[])


def _list_handed(function: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Yield the calls by which a function hands a name to RQ, as `queue.enqueue(name)` or by a variable."""
    aliases = {
        target.id
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and _holds_method(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(function):
        if not isinstance(node, ast.Call):
            continue
        is_alias = isinstance(node.func, ast.Name) and node.func.id in aliases
        handed = find_function(node, _ALIAS if is_alias else None)
        if isinstance(handed, ast.Name):
            yield node, handed.id


def _holds_method(value: ast.expr) -> bool:
    """Return whether a value is such a method, as it is or in `partial(…)`, and not what a call of it has returned."""
    if isinstance(value, ast.Call):
        return any(_count_before(each) is not None for each in value.args)
    return _count_before(value) is not None


def _count_before(called: ast.expr) -> int | None:
    """Return how many arguments stand before the function; None where what is called is no method of a queue."""
    if not isinstance(called, ast.Attribute):
        return None
    receiver = ast.unparse(called.value)
    if not _QUEUE.search(receiver):
        return None
    if called.attr in _OF_RQ_SCHEDULER:
        return _OF_RQ_SCHEDULER[called.attr] if "scheduler" in receiver.lower() else None
    return _CALLS.get(called.attr)
