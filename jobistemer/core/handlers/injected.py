"""Parameters of a handler that its worker fills, and not the caller: results of tasks and groups, reports."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, get_args, get_origin

import msgspec

from jobistemer.core.errors import InvalidDefinition
from jobistemer.core.handlers.value_codec import DECLARATION_ERRORS, Decode, Encode, build_codec
from jobistemer.core.runs.report import Report
from jobistemer.core.runs.results import Results


class UpstreamResult(NamedTuple):
    """The result of the upstream task with the parameter's name. encode: makes of it what decode reads.

    annotation: the type that it is read as.
    """

    task: str
    decode: Decode
    encode: Encode
    annotation: Any = Any


class UpstreamResults(NamedTuple):
    """The results of the runs that the upstream task with the parameter's name has mapped."""

    task: str
    decode: Decode


class GroupResults(NamedTuple):
    """The results of the runs of the group that this reducer belongs to. annotation: the type of each."""

    decode: Decode
    annotation: Any = Any


class InjectedReport(NamedTuple):
    """The execution report of the occurrence that has ended."""

    def decode(self, encoded: bytes) -> Report:
        """Read a report from JSON."""
        return msgspec.json.decode(encoded, type=Report)

    def encode(self, report: Report) -> bytes:
        """Write a report as JSON."""
        return msgspec.json.encode(report)


Injected = UpstreamResult | UpstreamResults | GroupResults | InjectedReport


def find_injected(
    name: str, signature: inspect.Signature, hints: Mapping[str, Any], upstream: Collection[str]
) -> dict[str, Injected]:
    """Return which parameters of a handler a worker fills, and with what.

    upstream: the tasks whose results may be asked for by name. Raises InvalidDefinition for a type that no JSON gives.
    """
    found: dict[str, Injected] = {}
    for parameter in signature.parameters:
        hint = hints.get(parameter, Any)
        if hint is Report:
            found[parameter] = InjectedReport()
        elif hint is Results or get_origin(hint) is Results:
            each = (*get_args(hint), Any)[0]
            decode, _ = _build_result_codec(name, parameter, each)
            group = GroupResults(decode, each)
            found[parameter] = UpstreamResults(parameter, decode) if parameter in upstream else group
        elif parameter in upstream:
            found[parameter] = UpstreamResult(parameter, *_build_result_codec(name, parameter, hint), hint)
    return found


def _build_result_codec(name: str, parameter: str, hint: Any) -> tuple[Decode, Encode]:
    """Build the functions that decode a stored result as the parameter's type, and encode it again.

    Raises InvalidDefinition for a type that cannot be read from JSON.
    """
    try:
        return build_codec(hint)
    except DECLARATION_ERRORS as error:
        raise InvalidDefinition(
            f"task {name!r}: parameter {parameter!r} cannot be read from the JSON of a result: {error}"
        ) from None
