"""How a module calls a task of Celery: its function, or the task object where its class does more than call it."""

from __future__ import annotations

import sys
from typing import Any

from jobistemer.migrate.found import Found, FoundTask, Verdict
from jobistemer.migrate.loading import (
    LEFT_OUT,
    describe_parameters,
    explain_refusal,
    load,
    name_function,
    require,
    takes_any_name,
)
from jobistemer.migrate.names import clean_name

_HOOKS = ("before_start", "on_success", "on_failure", "on_retry", "after_return")


def find_reference(task: Any) -> str | None:
    """Return the import path of a task object, or of its plain function; None when a module cannot import it."""
    named = name_function(getattr(task.run, "__func__", task.run))
    if named is not None:
        return named
    # Made by a function and bound to the name that the task says, such as by a class for each of its subclasses.
    parts = task.name.split(".")
    for at in range(len(parts) - 1, 0, -1):
        if (found := sys.modules.get(".".join(parts[:at]))) is not None:
            for part in parts[at:]:
                found = getattr(found, part, None)
            return f"{'.'.join(parts[:at])}:{'.'.join(parts[at:])}" if _is_task(found, task) else None
    return None


def build_task(task: Any, reference: str, found: Found) -> FoundTask | None:
    """Return the task without its options, as a module can declare it; None, with a remark, where it cannot."""
    is_object = _is_task(load(reference, "a task"), task)
    overridden = type(task).__call__ is not require("celery", "celery").Task.__call__
    if overridden and not is_object:
        text = f"its class {type(task).__name__} has a __call__ of its own, and the task object cannot be imported"
        found.remark(task.name, Verdict.NO_EQUAL, text)
        return None
    _remark_hooks(task, found)
    name, refusal = clean_name(task.name), explain_refusal(task.name, task.run)
    if not overridden and not refusal:
        # The name of the function is usually bound to the task object, whose `run` is the function.
        return FoundTask(name, f"{reference}.run" if is_object else reference)
    parameters = describe_parameters(task.run)
    # Where the class has a say in it, the annotations say what it hands on, and not what callers give.
    if parameters is None or (refusal and not overridden and not takes_any_name(task.run)):
        text = refusal if refusal and not overridden else "a default of its parameters has no literal"
        found.remark(task.name, Verdict.NO_EQUAL, text)
        return None
    if takes_any_name(task.run):
        found.remark(task.name, Verdict.DIFFERS, LEFT_OUT)
    if overridden:
        base = _name_base(task, "__call__")
        text = f"{base} has a __call__ of its own: the task object is called, which executes it too"
        found.remark(task.name, Verdict.DIFFERS, text)
    return FoundTask(name, reference if overridden or not is_object else f"{reference}.run", "wrapped", parameters)


def _is_task(found: Any, task: Any) -> bool:
    return hasattr(found, "run") and getattr(found, "name", None) == task.name


def _remark_hooks(task: Any, found: Found) -> None:
    base = require("celery", "celery").Task
    own = [name for name in _HOOKS if getattr(type(task), name, None) is not getattr(base, name, None)]
    if own:
        text = f"{', '.join(own)} of {_name_base(task, own[0])} are not called: see on_dead, app.on_… and middleware"
        found.remark(task.name, Verdict.NO_EQUAL, text)


def _name_base(task: Any, method: str) -> str:
    """Return the class that has a method of its own; Celery makes a subclass of it for each task."""
    return f"the class {next(each.__name__ for each in type(task).__mro__ if method in vars(each))}"
