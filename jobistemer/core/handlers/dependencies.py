"""Dependencies: parameters of a handler that its worker fills with what a provider gives, such as a database session.

    def get_session():
        with Session() as session:
            yield session

    @app.task
    def bill(order: int, session: Session = Depends(get_session)) -> None: ...

A provider is a function, a coroutine function or a generator of either kind, whose rest is executed at the end of the
attempt. It may have dependencies itself, and a parameter annotated `Context`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import cache
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import msgspec

from jobistemer.core.checks import check_name, show
from jobistemer.core.errors import InvalidDefinition
from jobistemer.core.handlers.context import Context

MAX_DEPTH = 20
"""How many providers may depend on one another in a row; more are a circle."""


class Dependency(msgspec.Struct, frozen=True):
    """The wish for what a provider gives. cached: one value for all who ask the provider within an attempt."""

    provider: Callable[..., Any] | None
    cached: bool = True


def Depends(provider: Callable[..., Any] | None = None, *, use_cache: bool = True) -> Any:  # noqa: N802 - as in FastAPI
    """Declare that a worker fills a parameter with what `provider` gives; callers and payloads cannot fill it.

    Written as the default, `session: Session = Depends(get_session)`, or `Annotated[Session, Depends(get_session)]`.
    provider: by default the annotated class itself. use_cache: whether all who ask this provider within an attempt
    share one value.
    """
    return Dependency(provider, use_cache)


class ProviderKind(Enum):
    """What calling a provider gives."""

    VALUE = "a value"
    COROUTINE = "a coroutine"
    GENERATOR = "a generator"
    ASYNC_GENERATOR = "an asynchronous generator"

    @property
    def is_async(self) -> bool:
        """Return whether only a coroutine can use it."""
        return self in (ProviderKind.COROUTINE, ProviderKind.ASYNC_GENERATOR)


class Provider(NamedTuple):
    """A provider that was read: what calling it gives, and what it needs, by parameter."""

    function: Callable[..., Any]
    kind: ProviderKind
    context_parameter: str | None
    needs: Mapping[str, Dependency]


class Providers:
    """The providers of an app by the type or the name of a parameter, and those that a test has put in their place."""

    def __init__(self) -> None:
        self._by_type: dict[Any, Dependency] = {}
        self._by_name: dict[str, Dependency] = {}
        self.overrides: dict[Callable[..., Any], Callable[..., Any]] = {}

    def add(self, what: Any, provider: Callable[..., Any]) -> None:
        """Add a provider for all parameters of a type, or of a name. Raises InvalidDefinition or InvalidName."""
        read_provider(provider)
        if isinstance(what, str):
            self._by_name[check_name("parameter", what)] = Dependency(provider)
        else:
            self._by_type[what] = Dependency(provider)

    def find(self, parameter: str, annotation: Any) -> Dependency | None:
        """Return the dependency of a parameter, or None."""
        if parameter in self._by_name:
            return self._by_name[parameter]
        try:
            return self._by_type.get(annotation)
        except TypeError:
            # An annotation that has no hash.
            return None


NO_PROVIDERS = Providers()


def find_dependencies(
    task: str, signature: inspect.Signature, hints: Mapping[str, Any], providers: Providers, *, is_coroutine: bool
) -> dict[str, Dependency]:
    """Return which parameters of a handler its worker fills with what providers give.

    Raises InvalidDefinition for a provider that cannot be called, and for an asynchronous one of a plain function.
    """
    found = {}
    for parameter in signature.parameters.values():
        annotation = hints.get(parameter.name, Any)
        if (
            dependency := _read_dependency(parameter, annotation) or providers.find(parameter.name, annotation)
        ) is None:
            continue
        try:
            _check(dependency, is_coroutine=is_coroutine, depth=0)
        except InvalidDefinition as error:
            raise InvalidDefinition(f"task {task!r}: parameter {parameter.name!r}: {error}") from None
        found[parameter.name] = dependency
    return found


def read_provider(function: Any) -> Provider:
    """Return what calling a provider needs and gives. Raises InvalidDefinition."""
    if not callable(function):
        raise InvalidDefinition(f"a provider is {show(function)}, allowed is a function: Depends(get_session)")
    try:
        hash(function)
    except TypeError:
        raise InvalidDefinition(f"a provider is {show(function)}, which has no hash: write a function") from None
    return _read_provider(function)


@cache
def _read_provider(function: Callable[..., Any]) -> Provider:
    inner = function if inspect.isroutine(function) or isinstance(function, type) else type(function).__call__
    try:
        signature = inspect.signature(function)
        hints = get_type_hints(
            _find_initializer(function) if isinstance(function, type) else inner, include_extras=True
        )
    except (TypeError, ValueError, NameError, AttributeError) as error:
        raise InvalidDefinition(f"the parameters of provider {_name_of(function)} cannot be read: {error}") from None
    context, needs = None, {}
    for parameter in signature.parameters.values():
        annotation = hints.get(parameter.name, Any)
        if annotation in (Context, Context | None):
            context = parameter.name
        elif (dependency := _read_dependency(parameter, annotation)) is not None:
            needs[parameter.name] = dependency
        elif parameter.default is parameter.empty and parameter.kind not in _VARIADIC:
            raise InvalidDefinition(
                f"provider {_name_of(function)} needs {parameter.name!r}, which no worker has: give it a default, "
                "= Depends(…), or the annotation Context"
            )
    return Provider(function, _find_kind(inner), context, needs)


def _find_initializer(kind: Any) -> Any:
    return kind.__init__


_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _find_kind(function: Any) -> ProviderKind:
    if inspect.isasyncgenfunction(function):
        return ProviderKind.ASYNC_GENERATOR
    if inspect.isgeneratorfunction(function):
        return ProviderKind.GENERATOR
    return ProviderKind.COROUTINE if inspect.iscoroutinefunction(function) else ProviderKind.VALUE


def _read_dependency(parameter: inspect.Parameter, annotation: Any) -> Dependency | None:
    metadata = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    found = next((each for given in (parameter.default, *metadata) for each in _recognize(given)), None)
    if found is not None and found.provider is None:
        return Dependency(get_args(annotation)[0] if metadata else annotation, found.cached)
    return found


def _recognize(given: Any) -> Iterator[Dependency]:
    if isinstance(given, Dependency):
        yield given
    # A provider that endpoints and tasks share is declared once, in the words of FastAPI.
    params = sys.modules.get("fastapi.params")
    if params is not None and isinstance(given, params.Depends):
        yield Dependency(given.dependency, given.use_cache)


def _check(dependency: Dependency, *, is_coroutine: bool, depth: int) -> None:
    provider = read_provider(dependency.provider)
    if depth > MAX_DEPTH:
        raise InvalidDefinition(f"provider {_name_of(dependency.provider)} depends on itself")
    if provider.kind.is_async and not is_coroutine:
        raise InvalidDefinition(
            f"provider {_name_of(dependency.provider)} is asynchronous and the task is a plain function, which cannot "
            "wait for it: declare the task with `async def`"
        )
    for needed in provider.needs.values():
        _check(needed, is_coroutine=is_coroutine, depth=depth + 1)


def _name_of(function: Any) -> str:
    return getattr(function, "__qualname__", None) or show(function)
