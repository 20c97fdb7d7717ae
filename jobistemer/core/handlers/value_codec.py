"""The reading of annotated values from JSON: by msgspec, and by pydantic where an annotation holds models.

What neither of them can read is refused here, where the task is declared.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

import msgspec

from jobistemer.core.errors import InvalidDefinition, InvalidPayload
from jobistemer.core.handlers.round_trip import Care, find_cares, find_loss
from jobistemer.core.models import ModelCodec, decode_model, encode_model, holds_models, is_model
from jobistemer.core.payload_json import ENCODING_ERRORS

Decode = Callable[[bytes], Any]
Encode = Callable[[Any], bytes]
encode_json: Final[Encode] = msgspec.json.Encoder(enc_hook=encode_model).encode
"""Write a value as JSON, models and all that msgspec knows. Raises one of ENCODING_ERRORS."""
DECLARATION_ERRORS: Final = (*ENCODING_ERRORS, RuntimeError, NameError)
"""What building a decoder raises for an annotation that cannot be read from JSON."""
_JSON_CLASSES: Final = (dict, list, str, int, float, bool, type(None))
"""What msgspec makes of JSON where an annotation names no more than `object` or an abstract class."""


class NoFormInJson(TypeError):
    """An annotation names a class that neither msgspec nor pydantic can read."""


class ParameterTypes(NamedTuple):
    """The types of the arguments of a call.

    models: the codecs of the parameters that hold models. decoder: of the whole payload, None without parameters.
    cares: how each argument is compared.
    """

    models: dict[str, ModelCodec]
    decoder: msgspec.json.Decoder[Any] | None
    cares: dict[str, Care]


_known_parameters = WeakKeyDictionary[FunctionType, dict[tuple[str, ...], ParameterTypes]]()


def read_parameters(
    task: str, function: Callable[..., Any], parameters: list[inspect.Parameter], hints: Mapping[str, Any]
) -> ParameterTypes:
    """Read the types of those parameters of a task's function that a call gives; of a plain function once.

    Raises InvalidDefinition for one that cannot be read from JSON.
    """
    if not isinstance(function, FunctionType):
        return _read_parameters(task, parameters, hints)
    # Which of its parameters a call gives depends on the tasks and the providers that its worker fills them from.
    known, names = _known_parameters.setdefault(function, {}), tuple(each.name for each in parameters)
    if names not in known:
        known[names] = _read_parameters(task, parameters, hints)
    return known[names]


def _read_parameters(task: str, parameters: list[inspect.Parameter], hints: Mapping[str, Any]) -> ParameterTypes:
    try:
        models = find_model_codecs(parameters, hints)
        fields = [_build_field(parameter, hints, models) for parameter in parameters]
        if not fields:
            return ParameterTypes(models, None, {})
        payload_type = msgspec.defstruct("Payload", fields, kw_only=True, forbid_unknown_fields=True)
        decoder = build_plain_decoder(payload_type)
        return ParameterTypes(models, decoder, find_cares(decoder))
    except DECLARATION_ERRORS as error:
        remedy = "; what a worker has itself is given by = Depends(…)" if isinstance(error, NoFormInJson) else ""
        raise InvalidDefinition(
            f"task {task!r} has a parameter that cannot be read from JSON: {error}{remedy}"
        ) from None


def _build_field(
    parameter: inspect.Parameter, hints: Mapping[str, Any], models: Mapping[str, ModelCodec]
) -> tuple[Any, ...]:
    annotation = msgspec.Raw if parameter.name in models else hints.get(parameter.name, Any)
    if parameter.default is inspect.Parameter.empty:
        return (parameter.name, annotation)
    default = parameter.default
    return (parameter.name, annotation, msgspec.field(default_factory=lambda: default))


def build_codec(annotation: Any) -> tuple[Decode, Encode]:
    """Return the functions that decode and encode a value of an annotation; decoding raises msgspec.DecodeError.

    Raises one of DECLARATION_ERRORS for an annotation that cannot be read from JSON.
    """
    codec = find_model_codec(annotation, "$")
    if codec is not None:
        return codec.decode, lambda value: bytes(codec.encode(value))
    return build_plain_decoder(annotation).decode, encode_json


def build_plain_decoder(annotation: Any) -> msgspec.json.Decoder[Any]:
    """Return the decoder of an annotation whose models, if any, stand in fields and containers that msgspec knows.

    Raises one of DECLARATION_ERRORS for an annotation that cannot be read from JSON.
    """
    decoder = msgspec.json.Decoder(annotation, dec_hook=decode_model)
    for kind in _find_unknown_classes(msgspec.inspect.type_info(annotation), []):
        if is_model(kind):
            _build_codec(kind, "$")
        elif not _is_class_of_json(kind):
            raise NoFormInJson(f"{kind.__module__}.{kind.__qualname__} has no form in JSON: use a dataclass or a model")
    return decoder


def find_model_codec(annotation: Any, place: str) -> ModelCodec | None:
    """Return the codec of an annotation that pydantic has to read as a whole; None where msgspec can.

    Raises TypeError for an annotation that neither of them can read.
    """
    if not holds_models(annotation):
        return None
    try:
        return _build_codec(annotation, place)
    except TypeError as refused:
        try:
            # pydantic does not know the Structs of msgspec, whose fields may be models all the same.
            build_plain_decoder(annotation)
        except DECLARATION_ERRORS:
            raise refused from None
        return None


def find_model_codecs(parameters: list[inspect.Parameter], hints: Mapping[str, Any]) -> dict[str, ModelCodec]:
    """Return the codecs of the parameters that hold models, by name. Raises TypeError, naming the parameter."""
    found = {}
    for parameter in parameters:
        try:
            codec = find_model_codec(hints.get(parameter.name, Any), f"$.{parameter.name}")
        except TypeError as error:
            raise type(error)(f"{parameter.name}: {error}") from None
        if codec is not None:
            found[parameter.name] = codec
    return found


def encode_models(task: str, codecs: Mapping[str, ModelCodec], arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arguments of a call with those that hold models in JSON. Raises InvalidPayload."""
    if not isinstance(arguments, Mapping):
        return arguments
    encoded = dict(arguments)
    for name in codecs.keys() & encoded.keys():
        try:
            encoded[name] = codecs[name].encode(encoded[name])
        except Exception as error:  # noqa: BLE001 - serializers of models are code of the application
            raise InvalidPayload(f"payload of task {task!r} cannot be written as JSON: `$.{name}`: {error}") from None
    return encoded


def decode_models(task: str, codecs: Mapping[str, ModelCodec], arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arguments with their models decoded; defaults stay. Raises InvalidPayload."""
    for name, codec in codecs.items():
        if isinstance(value := arguments[name], msgspec.Raw):
            try:
                arguments[name] = codec.decode(value)
            except msgspec.DecodeError as error:
                raise InvalidPayload(f"payload of task {task!r} does not fit: {error}") from None
    return arguments


def check_unchanged(what: str, given: Any, found: Any, place: str) -> None:
    """Check that the models of a value come back as they were given. Raises InvalidPayload with the path."""
    if (loss := find_loss(given, found, place, is_open=False)) is not None:
        raise InvalidPayload(f"{what} would not come back as it is: `{loss.path}` {loss.remedy}")


def _build_codec(annotation: Any, place: str) -> ModelCodec:
    try:
        return ModelCodec(annotation, place)
    except Exception as error:  # noqa: BLE001 - pydantic raises errors of its own, the application's schemas anything
        reason = str(error).partition("\n")[0]
        raise TypeError(f"pydantic cannot read {annotation!r} from JSON: {reason}") from None


def _is_class_of_json(kind: type) -> bool:
    try:
        return any(issubclass(each, kind) for each in _JSON_CLASSES)
    except TypeError:
        # A protocol that cannot be checked at run time.
        return False


def _find_unknown_classes(info: Any, seen: list[Any]) -> Iterator[Any]:
    """Yield the classes within a type that msgspec leaves to its hooks."""
    if any(info is each for each in seen):
        return
    seen.append(info)
    if isinstance(info, msgspec.inspect.CustomType):
        yield info.cls
    for part in _find_inner_types(info):
        yield from _find_unknown_classes(part, seen)


def _find_inner_types(info: Any) -> Iterator[Any]:
    for name in info.__struct_fields__:
        value = getattr(info, name)
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, msgspec.inspect.Field):
                yield each.type
            elif isinstance(each, msgspec.inspect.Type):
                yield each
