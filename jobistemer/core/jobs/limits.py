"""Limits: how many runs of a kind may go on at a time, or start in a period, in the whole cluster.

A limit is declared with a task or a queue and counts under a name. `find_uses` finds the names that a call counts
under, by its arguments; the store does the counting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha1
from string import Formatter
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from jobistemer.core.checks import check_name, check_range, check_whole, is_encodable, show
from jobistemer.core.errors import InvalidDefinition

MAX_AT_A_TIME = 10_000
MAX_A_TASK = 10
LONGEST_PERIOD_S = 366 * 86_400
LONGEST_VALUE = 100
UNREADABLE = "?"
"""Stands for the value of a key that cannot be made from a call's arguments: such calls count together."""


class Concurrency(msgspec.Struct, frozen=True, tag="concurrency", tag_field="kind", omit_defaults=True):
    """At most `most` runs at a time: of the task or queue, or for each value of `key`.

    key: a template over the arguments, such as `{customer}` or `{order.customer}`: names, fields and indexes, without a
    conversion or a format. name: the name that runs count
    under, for limits that several tasks share; by default each task and each queue counts for itself. Raises
    InvalidDefinition or InvalidName for values out of range.
    """

    most: int
    key: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        check_whole("concurrency limit", self.most, 1, MAX_AT_A_TIME, InvalidDefinition)
        _check_limit("concurrency limit", self)

    @property
    def per_ms(self) -> int:
        """The period in milliseconds: 0, since a limit at a time has none."""
        return 0


class Rate(msgspec.Struct, frozen=True, tag="rate", tag_field="kind", omit_defaults=True):
    """At most `most` starts in any `per_s` seconds. key and name: as for Concurrency.

    Raises InvalidDefinition or InvalidName for values out of range.
    """

    most: int
    per_s: float
    key: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        check_whole("rate limit", self.most, 1, MAX_AT_A_TIME, InvalidDefinition)
        check_range("rate limit: per_s", self.per_s, 0.001, LONGEST_PERIOD_S, InvalidDefinition)
        _check_limit("rate limit", self)

    @property
    def per_ms(self) -> int:
        """The period in milliseconds."""
        return round(self.per_s * 1000)


Limit = Concurrency | Rate


class LimitUse(NamedTuple):
    """One limit as it applies to one run.

    name: the name that the run counts under. most: how many runs may count at once. per_ms: the period in milliseconds,
    0 for a limit at a time.
    """

    name: str
    most: int
    per_ms: int


def check_limits(where: str, limits: Any) -> tuple[Limit, ...]:
    """Return the limits that are declared together, as a tuple.

    where: the task or queue, for errors. Raises InvalidDefinition for a value that is no limit, and for two limits of
    the same kind, name and key.
    """
    found = tuple(limits) if isinstance(limits, list | tuple) else (limits,)
    for limit in found:
        if not isinstance(limit, Concurrency | Rate):
            raise InvalidDefinition(f"{where}: limit {show(limit)} is neither Concurrency(…) nor Rate(…)")
    if len(found) > MAX_A_TASK:
        raise InvalidDefinition(f"{where} has {len(found)} limits, allowed are {MAX_A_TASK}")
    kinds = [(type(limit), limit.name, limit.key, limit.per_ms) for limit in found]
    if len(set(kinds)) < len(kinds):
        raise InvalidDefinition(f"{where} has a limit of the same kind, name and key twice; keep the narrower one")
    return found


def check_keys(where: str, limits: Iterable[Limit], parameters: Iterable[str]) -> None:
    """Check that calls have the arguments that the keys of the limits name. Raises InvalidDefinition otherwise."""
    known = list(parameters)
    for limit in limits:
        for field in _key_fields(limit.key):
            if field not in known:
                allowed = ", ".join(known) or "none: it takes no arguments"
                raise InvalidDefinition(
                    f"{where}: limit key {show(limit.key)} asks for {show(field)}; its parameters are {allowed}"
                )


def find_uses(scope: str, limits: Iterable[Limit], arguments: Mapping[str, Any]) -> list[LimitUse]:
    """Return the limits that a call with these arguments counts under.

    scope: the name that limits without a name of their own count under, such as `task/send`.
    """
    named = [(limit, limit_name(limit.name or scope, _render_key(limit.key, arguments))) for limit in limits]
    return [LimitUse(name, limit.most, limit.per_ms) for limit, name in named]


def shard_key(scoped: Iterable[tuple[str, Limit]], arguments: Mapping[str, Any]) -> str:
    """Return the limit name that decides the shard of a call, empty where there is no limit.

    All calls that count under this name are on the same shard, so its count is exact. scoped: limits, each with the
    name that it counts under unless it has its own.
    """
    # A limit without a key takes all its calls to one shard, so narrower limits are exact there as well. A call can be
    # on one shard only, so among several limits of a kind the first decides; the others are exact for the calls there.
    ordered = sorted(scoped, key=lambda each: bool(each[1].key))
    return next((limit_name(limit.name or scope, _render_key(limit.key, arguments)) for scope, limit in ordered), "")


def limit_name(scope: str, value: str | None = None) -> str:
    """Return the name of a scope, or of one value of its key, as it may stand in a Redis key."""
    if value is None:
        return scope
    quoted = quote(value, safe="@+=,?")
    if len(quoted) > LONGEST_VALUE:
        # A value from a payload may have any length; a key of Redis should not.
        quoted = sha1(value.encode(), usedforsecurity=False).hexdigest()
    return f"{scope}:{quoted}"


def _render_key(key: str, arguments: Mapping[str, Any]) -> str | None:
    if not key:
        return None
    # A template is checked when it is declared, but a path such as {order.customer} may fail for one payload. Such a
    # call must not get past the limit, nor be refused here: its handler may be able to run it.
    try:
        value = key.format(**arguments)
    except Exception:  # noqa: BLE001 - the classes of an application format themselves as they like
        return UNREADABLE
    return value if is_encodable(value) else UNREADABLE


def _check_limit(what: str, limit: Limit) -> None:
    if limit.name != "":
        check_name("limit", limit.name)
    if not isinstance(limit.key, str):
        raise InvalidDefinition(f"{what}: key is {show(limit.key)}, allowed is a text such as '{{customer}}'")
    if limit.key and not _key_fields(limit.key):
        raise InvalidDefinition(f"{what}: key {show(limit.key)} names no argument; write it in braces: '{{customer}}'")


def _key_fields(key: str) -> list[str]:
    try:
        parts = [part for part in Formatter().parse(key) if part[1] is not None]
    except ValueError as error:
        raise InvalidDefinition(f"limit key {show(key)} is no template: {error}") from None
    # A width such as {customer:>1000000000} takes all memory of whoever counts a call.
    if odd := next(
        (f"!{conversion}" if conversion else f":{spec}" for _, _, spec, conversion in parts if conversion or spec), ""
    ):
        raise InvalidDefinition(
            f"limit key {show(key)} has {show(odd)}; only names stand in its braces: '{{customer}}'"
        )
    named = [str(part[1]) for part in parts]
    return [field.partition(".")[0].partition("[")[0] for field in named]
