"""Import the application that is moved, and name its functions so that a module can import them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from keyword import iskeyword
from pathlib import Path
from typing import Any

from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidDefinition, InvalidInput, Misconfigured
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.jobs.options import Options
from jobistemer.migrate.names import clean_name

LEFT_OUT = "**kwargs is left out: a payload names its arguments; add those that are given"


def load(reference: str, what: str) -> Any:
    """Import MODULE:ATTRIBUTE, or a whole MODULE, from the current folder or the Python path.

    what: what is looked for, for errors. Raises InvalidInput for an import that fails or finds nothing.
    """
    module_name, _, attribute = reference.partition(":")
    if not module_name:
        raise InvalidInput(f"{show(reference)} names no module; {what} is given as MODULE:NAME, such as shop.main:app")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = import_module(module_name)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise InvalidInput(
            f"module {show(module_name)} cannot be imported: {type(error).__name__}: {error}; run the command in the "
            "folder and the environment in which the application starts"
        ) from error
    for name in filter(None, attribute.split(".")):
        if not hasattr(found, name):
            raise InvalidInput(f"module {show(module_name)} has no {show(attribute)}, in which {what} was expected")
        found = getattr(found, name)
    return found


def require(module: str, package: str) -> Any:
    """Import a module of the other engine. Raises Misconfigured when the engine is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise Misconfigured(
            f"{package} is not installed here ({error}); run the command in the environment of the application"
        ) from error


def is_path(path: str) -> bool:
    """Return whether source can write a dotted path: none of its parts is a number, `<locals>` or a keyword."""
    return all(part.isidentifier() and not iskeyword(part) for part in path.split("."))


def name_function(function: Callable[..., Any]) -> str | None:
    """Return the import path of a function, `module:name`; None when a module cannot import it by its name."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    # A name such as `0001_initial` can be loaded, and no `import` can say it.
    if not module or not name or module == "__main__" or not is_path(f"{module}.{name}"):
        return None
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}:{name}" if found is not None else None


def bind_payload(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a scheduled call by name.

    Raises InvalidInput when the function takes none of that kind, or takes arguments that have no name.
    """
    signature = inspect.signature(function)
    kinds = {each.kind for each in signature.parameters.values()}
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise InvalidInput(f"its arguments do not fit the function: {error}") from None
    if inspect.Parameter.VAR_POSITIONAL in kinds or inspect.Parameter.POSITIONAL_ONLY in kinds:
        raise InvalidInput("the function takes arguments without a name (*args or /); a payload has named ones")
    found = dict(bound.arguments)
    for name, parameter in signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            found |= found.pop(name, {})
    return found


def explain_refusal(name: str, function: Callable[..., Any]) -> str:
    """Return why a function cannot be a task here, such as for `*args`; empty when it can."""
    try:
        # The very object that the declaration makes.
        Handler(clean_name(name), function, Options())
    except InvalidDefinition as error:
        return str(error)
    return ""


def describe_call(name: str, function: Callable[..., Any]) -> tuple[str, tuple[str, ...]] | None:
    """Return how a module hands a function on, and the parameters of its wrapper; None where it cannot.

    A function that only `**kwargs` keep from being a task is called by a wrapper without them.
    """
    if not explain_refusal(name, function):
        return "plain", ()
    parameters = describe_parameters(function) if takes_any_name(function) else None
    call = "awaited" if inspect.iscoroutinefunction(function) else "wrapped"
    return None if parameters is None else (call, parameters)


def describe_scheduled(function: Callable[..., Any], payload: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Return what `describe_call` does, for a function that a schedule calls with a payload.

    Raises InvalidInput for a function that cannot be a task, or takes what the payload has in `**kwargs` only.
    """
    described = describe_call(function.__name__, function)
    if described is None:
        raise InvalidInput(explain_refusal(function.__name__, function))
    check_names(*described, payload)
    return described


def check_names(call: str, parameters: Sequence[str], payload: Mapping[str, Any]) -> None:
    """Raise InvalidInput for arguments of a schedule that only `**kwargs` of its function took."""
    if call != "plain" and (other := sorted(set(payload) - {each.partition(":")[0] for each in parameters})):
        names = ", ".join(other)
        raise InvalidInput(f"its arguments {names} are among the **kwargs of the function, which are left out")


def takes_any_name(function: Callable[..., Any]) -> bool:
    """Return whether a function takes arguments of any name, `**kwargs`."""
    return any(each.kind is inspect.Parameter.VAR_KEYWORD for each in inspect.signature(function).parameters.values())


def describe_parameters(function: Callable[..., Any], skip: int = 0) -> tuple[str, ...] | None:
    """Return the parameters of a function as source text of a wrapper, without the first `skip` and without `**`.

    None when one of them has no name, or a default that has no literal.
    """
    found = []
    for parameter in list(inspect.signature(function).parameters.values())[skip:]:
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            continue
        if parameter.kind not in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
            return None
        if parameter.default is inspect.Parameter.empty:
            found.append(f"{parameter.name}: Any")
        elif isinstance(parameter.default, str | int | float | bool | None):
            found.append(f"{parameter.name}: Any = {parameter.default!r}")
        else:
            return None
    return tuple(found)
