"""Parameters of a handler that its worker fills, and not the caller: results of tasks and groups, reports."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple, get_args, get_origin

import msgspec

from jobistemer.core.errors import InvalidDefinition
from jobistemer.core.runs.report import Report
from jobistemer.core.runs.results import Results

Decode = Callable[[bytes], Any]


class UpstreamResult(NamedTuple):
    """The result of the upstream task with the parameter's name."""

    task: str
    decode: Decode


class UpstreamResults(NamedTuple):
    """The results of the runs that the upstream task with the parameter's name has mapped."""

    task: str
    decode: Decode


class GroupResults(NamedTuple):
    """The results of the runs of the group that this reducer belongs to."""

    decode: Decode


class InjectedReport(NamedTuple):
    """The execution report of the occurrence that has ended."""

    def decode(self, encoded: bytes) -> Report:
        """Read a report from JSON."""
        return msgspec.json.decode(encoded, type=Report)


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
            decode = build_result_decoder(name, parameter, (*get_args(hint), Any)[0])
            found[parameter] = UpstreamResults(parameter, decode) if parameter in upstream else GroupResults(decode)
        elif parameter in upstream:
            found[parameter] = UpstreamResult(parameter, build_result_decoder(name, parameter, hint))
    return found


def build_result_decoder(name: str, parameter: str, hint: Any) -> Decode:
    """Build the function that decodes a stored result as the parameter's type.

    Raises InvalidDefinition for a type that cannot be read from JSON.
    """
    try:
        return msgspec.json.Decoder(hint).decode
    except (TypeError, ValueError, RuntimeError, NameError) as error:
        raise InvalidDefinition(
            f"task {name!r}: parameter {parameter!r} cannot be read from the JSON of a result: {error}"
        ) from None
