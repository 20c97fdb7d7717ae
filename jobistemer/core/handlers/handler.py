"""Handlers: the callables that do the work, with the types of what goes in and comes out.

A payload is the JSON object of a handler's keyword arguments. Its type is made from the function's annotations once,
when the handler is declared, so that a wrong payload is refused where it is enqueued, and again where it runs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import msgspec

from jobistemer.core.checks import check_name, show
from jobistemer.core.errors import InvalidPayload, PayloadTooLarge
from jobistemer.core.handlers.callables import read_callable
from jobistemer.core.handlers.context import Context
from jobistemer.core.handlers.dependencies import NO_PROVIDERS, Providers, find_dependencies
from jobistemer.core.handlers.injected import find_injected
from jobistemer.core.handlers.result_codec import ResultCodec
from jobistemer.core.handlers.round_trip import check_kept
from jobistemer.core.handlers.value_codec import (
    check_unchanged,
    decode_models,
    encode_json,
    encode_models,
    read_parameters,
)
from jobistemer.core.handlers.waits.signal_types import NO_SIGNALS, SignalTypes
from jobistemer.core.jobs.limits import Limit, LimitUse, check_keys, find_uses, shard_key
from jobistemer.core.jobs.options import DEFAULTS, Options
from jobistemer.core.jobs.retryable import ALWAYS, RetryFilter
from jobistemer.core.payload_json import ENCODING_ERRORS, MAX_DEPTH, check_json_depth, find_non_finite, read_object
from jobistemer.core.runs.message import EMPTY_PAYLOAD, Message
from jobistemer.core.sizes import DEFAULT_BYTES, DEFAULT_SIZES, Sizes

MAX_PAYLOAD_BYTES = DEFAULT_BYTES
MAX_RESULT_BYTES = DEFAULT_BYTES
NO_LIMITS: Mapping[str, tuple[Limit, ...]] = {}

_NO_NAMES: Final = frozenset[str]()


class Handler:
    """One callable under its name."""

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        options: Options,
        *,
        upstream: Collection[str] = (),
        queue_limits: Mapping[str, tuple[Limit, ...]] = NO_LIMITS,
        retry_filter: RetryFilter = ALWAYS,
        sizes: Sizes = DEFAULT_SIZES,
        providers: Providers = NO_PROVIDERS,
        signals: SignalTypes = NO_SIGNALS,
    ) -> None:
        self.name = check_name("handler", name)
        self.limits = options.limits or ()
        # The app's own mapping, and no copy: a queue may get limits after the handler was declared.
        self.queue_limits = queue_limits
        self.function = function
        self.options = options
        # The registry has merged the app's defaults into the options; this adds those of the package.
        self.executor = options.executor or DEFAULTS.executor
        signature, hints, self.is_coroutine = read_callable(name, function)
        self.context_parameter = _find_context_parameter(signature, hints)
        self.dependencies = find_dependencies(name, signature, hints, providers, is_coroutine=self.is_coroutine)
        own = _without_parameters(signature, self.dependencies)
        self.injected = find_injected(name, own, hints, upstream)
        self.retry_filter = retry_filter
        self.sizes, self.signals = sizes, signals
        # Callers do not see the parameters that the worker fills.
        self._callable = _without_parameters(own, {self.context_parameter, *self.injected})
        given = [*self._callable.parameters.values()]
        self._names = tuple(each.name for each in given if each.kind is each.POSITIONAL_OR_KEYWORD)
        # An empty set of its own would be a tenth of what a declared task takes.
        self._required = {each.name for each in given if each.default is each.empty} or _NO_NAMES
        self._is_plain = len(self._names) == len(given)
        self._models, self._decoder, self._cares = read_parameters(name, function, given, hints)
        self._deep = {name for name, care in self._cares.items() if care.deep} or _NO_NAMES
        check_keys(f"task {name!r}", self.limits, [each.name for each in given])
        self.result_codec = ResultCodec(name, hints)
        self.may_return_none = self.result_codec.may_be_none
        """Whether None fits the annotated result; a worker asks for each run that returned nothing."""

    @property
    def is_limited(self) -> bool:
        """Return whether its calls may count under a limit."""
        return bool(self.limits or self.queue_limits)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the arguments that a call may give."""
        return tuple(self._callable.parameters)

    def limit_uses(self, message: Message) -> tuple[LimitUse, ...]:
        """Return the limits that a call counts under, the narrowest first: the run waits for that one."""
        own, shared = self.limits, self.queue_limits.get(message.queue, ())
        arguments = self._decode_or_empty(message) if any(limit.key for limit in (*own, *shared)) else {}
        found = find_uses(f"task/{self.name}", own, arguments) + find_uses(f"queue/{message.queue}", shared, arguments)
        return tuple(sorted(found, key=lambda use: (use.most, use.name)))

    def shard_key(self, message: Message) -> str:
        """Return the limit name that decides the shard of a call; empty for no limits."""
        own, shared = self.limits, self.queue_limits.get(message.queue, ())
        arguments = self._decode_or_empty(message) if any(limit.key for limit in (*own, *shared)) else {}
        queue, task = f"queue/{message.queue}", f"task/{self.name}"
        return shard_key([*((queue, limit) for limit in shared), *((task, limit) for limit in own)], arguments)

    def _decode_or_empty(self, message: Message) -> dict[str, Any]:
        try:
            return self.decode(message.payload)
        except InvalidPayload:
            # Its handler refuses the payload when it runs, with the reason. Until then it counts like other unreadable
            # calls, so that a bad payload cannot stop a queue.
            return {}

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> msgspec.Raw:
        """Encode the payload of a call.

        Raises InvalidPayload with the path of what does not fit, or PayloadTooLarge.
        """
        return self.encode_arguments(self.bind(args, kwargs))

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call by name, without the context. Raises InvalidPayload when they do not fit."""
        # What `inspect` would find, which takes its time. Arguments in another order than their parameters go its way,
        # since a payload is compared by its bytes.
        found = {**dict(zip(self._names, args, strict=False)), **kwargs}
        is_whole = self._is_plain and len(found) == len(args) + len(kwargs) and self._required <= found.keys()
        if is_whole and tuple(found) == self._names[: len(found)]:
            return found
        try:
            return self._callable.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise InvalidPayload(f"task {self.name!r} cannot be called so: {error}") from None

    def encode_arguments(self, arguments: Mapping[str, Any]) -> msgspec.Raw:
        """Encode keyword arguments as a payload, checked against the handler's annotations.

        Raises InvalidPayload with the path of what does not fit, or PayloadTooLarge.
        """
        if self._models:
            return self._encode_with_models(arguments)
        payload = _encode_object(self.name, arguments, self.sizes.payload_bytes)
        found = self._read(payload)
        for name, value in arguments.items():
            if name in self._deep or value != getattr(found, name):
                self._check_kept(name, value, getattr(found, name))
        return payload

    def _check_kept(self, name: str, given: Any, found: Any) -> None:
        """Check that an argument comes back as it was given. Raises InvalidPayload."""
        check_kept(f"payload of task {self.name!r}", given, found, self._cares[name], f"$.{name}")

    def _encode_with_models(self, arguments: Mapping[str, Any]) -> msgspec.Raw:
        encoded = encode_models(self.name, self._models, arguments)
        payload = _encode_object(self.name, encoded, self.sizes.payload_bytes)
        found = self.decode(payload)
        for name in self._models.keys() & arguments.keys():
            check_unchanged(f"payload of task {self.name!r}", arguments[name], found[name], f"$.{name}")
        for name in arguments.keys() - self._models.keys():
            self._check_kept(name, arguments[name], found[name])
        return payload

    def decode(self, payload: msgspec.Raw) -> dict[str, Any]:
        """Decode the caller's keyword arguments in a payload.

        Raises InvalidPayload with the path of what does not fit.
        """
        if self._decoder is None and payload == EMPTY_PAYLOAD:
            return {}
        found = self._read(payload)
        arguments = {field: getattr(found, field) for field in found.__struct_fields__}
        return decode_models(self.name, self._models, arguments) if self._models else arguments

    def _read(self, payload: msgspec.Raw) -> Any:
        """Read a payload into the struct of the parameters, None without parameters. Raises InvalidPayload."""
        if self._decoder is None and payload == EMPTY_PAYLOAD:
            return None
        if self._decoder is None:
            raise InvalidPayload(
                f"task {self.name!r} takes no arguments, the payload has some: "
                f"{bytes(payload)[:80].decode(errors='replace')}"
            )
        try:
            return self._decoder.decode(payload)
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidPayload(f"payload of task {self.name!r} does not fit: {error}") from None

    def encode_result(self, value: Any) -> bytes:
        """Encode the return value as it is stored, checked against the annotation; empty for None.

        Raises InvalidPayload with the path of what does not fit or has no form in JSON, or PayloadTooLarge.
        """
        return self.result_codec.encode(value, self.sizes.result_bytes)

    def decode_result(self, result: bytes) -> Any:
        """Decode a stored result as the annotated type. Raises InvalidPayload with the path of what does not fit."""
        return self.result_codec.decode(result)


def encode_payload(name: str, arguments: Mapping[str, Any], most: int = DEFAULT_BYTES) -> msgspec.Raw:
    """Encode keyword arguments as a payload, without a handler that could check them.

    Nothing is ever pickled. Raises InvalidPayload or PayloadTooLarge.
    """
    # A key that is no text would silently become text in JSON. Handlers find such keys when they decode the payload.
    for key in arguments if isinstance(arguments, dict) else ():
        if not isinstance(key, str):
            raise InvalidPayload(f"payload of task {name!r} has the key {show(key)}, allowed are names of arguments")
    payload = _encode_object(name, arguments, most)
    # A msgspec.Raw among the values may hold anything; it is written as it is.
    read_object(name, payload)
    return payload


def check_encoded_payload(name: str, payload: msgspec.Raw, most: int = DEFAULT_BYTES) -> msgspec.Raw:
    """Return a payload that was encoded before, checked to be one object that every worker can read.

    Raises InvalidPayload or PayloadTooLarge.
    """
    encoded = bytes(payload)
    read_object(name, encoded)
    _check_bounds(name, encoded, most)
    return payload


def _encode_object(name: str, arguments: Mapping[str, Any], most: int) -> msgspec.Raw:
    try:
        payload = encode_json(arguments)
    except ENCODING_ERRORS as error:
        raise InvalidPayload(f"payload of task {name!r} cannot be written as JSON: {error}") from None
    # msgspec writes NaN and infinity as null, and the handler would silently get None. The search through the values is
    # slow, so it is made only where a null was written.
    if b"null" in payload and (unfit := find_non_finite(arguments)) is not None:
        raise InvalidPayload(f"payload of task {name!r} has the number {unfit!r}, which JSON cannot say")
    if payload[:1] != b"{":
        shown = payload[:80].decode(errors="replace")
        raise InvalidPayload(f"payload of task {name!r} must be an object of keyword arguments, not {shown}")
    # A short payload cannot be nested deep: most calls are done here.
    if len(payload) > most or len(payload) > 2 * MAX_DEPTH:
        _check_bounds(name, payload, most)
    return msgspec.Raw(payload)


def _check_bounds(name: str, payload: bytes, most: int) -> None:
    if len(payload) > most:
        raise PayloadTooLarge(
            f"payload of task {name!r} has {len(payload)} bytes, allowed are {most}: "
            "store it elsewhere and enqueue a reference",
        )
    # Few brackets cannot stand deep in one another.
    if payload.count(b"[") + payload.count(b"{") > MAX_DEPTH:
        check_json_depth(name, payload)


def _without_parameters(signature: inspect.Signature, names: Collection[str | None]) -> inspect.Signature:
    """Return a signature without some of its parameters: the signature itself where it has none of them."""
    kept = [each for each in signature.parameters.values() if each.name not in names]
    return signature if len(kept) == len(signature.parameters) else signature.replace(parameters=kept)


def _find_context_parameter(signature: inspect.Signature, hints: Mapping[str, Any]) -> str | None:
    # `Context | None = None` is needed by type checkers behind parameters that have defaults.
    annotations = (Context, Context | None)
    return next((name for name in signature.parameters if hints.get(name) in annotations), None)
