"""Transactions of a handler: Redis writes and follow-up calls that are applied together with its outcome.

A script has no rollback. So everything that could make a write fail is refused here, or checked by the script before
its first write: a key is used as one type, and numbers are added only where numbers are kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from jobistemer.core.checks import LARGEST_WHOLE, is_encodable, show
from jobistemer.core.errors import InvalidInput

MAX_STEPS = 100
MAX_ARGUMENTS = 200
MAX_BYTES = 1024 * 1024
MAX_ADDED = 10**12
LONGEST_EXPIRY_MS = 10 * 366 * 86_400_000

Value = str | bytes | int | float
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:\-/]{0,199}", re.ASCII)


class CommandSpec(msgspec.Struct, frozen=True):
    """The form of one command: the type of its key, and how many arguments follow, in groups of `step`."""

    kind: str
    least: int
    most: int = MAX_ARGUMENTS
    step: int = 1
    whole: tuple[int, ...] = ()
    """Positions of arguments that must be whole numbers."""
    adds: str = ""
    """Where it adds to a number: to that of its `key`, or of a `field` of it."""


ALLOWED_COMMANDS = {
    "DEL": CommandSpec("any", 0, 0),
    "PEXPIRE": CommandSpec("any", 1, 1, whole=(0,)),
    "SET": CommandSpec("string", 1, 1),
    "INCRBY": CommandSpec("string", 1, 1, whole=(0,), adds="key"),
    "HSET": CommandSpec("hash", 2, step=2),
    "HDEL": CommandSpec("hash", 1),
    "HINCRBY": CommandSpec("hash", 2, 2, whole=(1,), adds="field"),
    "SADD": CommandSpec("set", 1),
    "SREM": CommandSpec("set", 1),
    "ZADD": CommandSpec("zset", 2, step=2),
    "ZREM": CommandSpec("zset", 1),
    "ZINCRBY": CommandSpec("zset", 2, 2),
    "LPUSH": CommandSpec("list", 1),
    "RPUSH": CommandSpec("list", 1),
    "LTRIM": CommandSpec("list", 2, 2, whole=(0, 1)),
}
_SCORES = {"ZADD": 2, "ZINCRBY": 2}
_NUMBER_OR_TEXT = {"INCRBY": "SET", "SET": "INCRBY", "HINCRBY": "HSET", "HSET": "HINCRBY"}
"""Commands that may not meet on one key: what the one leaves, the other may not be able to add to."""


class Write(msgspec.Struct, frozen=True):
    """One command on one of the application's own keys."""

    command: str
    form: CommandSpec
    key: str
    args: tuple[Value, ...]


class Transaction:
    """Up to a hundred writes and follow-up calls, applied when the attempt succeeds, or not at all.

    own_key: a function from a name to the key it stands for. prepare: a function from a request to the call that
    enqueues it.
    """

    def __init__(self, own_key: Callable[[str], str], prepare: Callable[[Any], Any]) -> None:
        self._own_key = own_key
        self._prepare = prepare
        self._kinds: dict[str, str] = {}
        self._used: set[tuple[str, str]] = set()
        self._bytes = 0
        self.writes: list[Write] = []
        self.follow_ups: list[Any] = []

    def key(self, name: str) -> str:
        """Return the Redis key of the application's own value `name`, to read it.

        Raises InvalidInput for a name that may not enter a key.
        """
        if not isinstance(name, str) or not _KEY.fullmatch(name):
            raise InvalidInput(
                f"transaction: key {show(name)} is not allowed: use 1–200 ASCII letters, digits and _ . : - /"
            )
        return self._own_key(name)

    def write(self, command: str, name: str, *args: Value) -> None:
        """Add a write command on the own key `name`. Raises InvalidInput for a write that could fail later."""
        form = ALLOWED_COMMANDS.get(command) if isinstance(command, str) else None
        if form is None:
            raise InvalidInput(
                f"transaction: command {show(command)} is not allowed; allowed are {', '.join(ALLOWED_COMMANDS)}"
            )
        key = self.key(name)
        self._check_not_full()
        _check_arguments(command, form, args)
        self._check_key_use(command, form, name, sum(map(_size, args)))
        self.writes.append(Write(command, form, key, tuple(map(_plain, args))))

    def enqueue(self, request: Any) -> None:
        """Add a follow-up call, such as `send.request(to="a@b")`. Raises what enqueueing it would raise."""
        self._check_not_full()
        self.follow_ups.append(self._prepare(request))

    def __bool__(self) -> bool:
        return bool(self.writes or self.follow_ups)

    def _check_not_full(self) -> None:
        if len(self.writes) + len(self.follow_ups) >= MAX_STEPS:
            raise InvalidInput(
                f"transaction: it has {MAX_STEPS} steps already, which is the most; "
                "enqueue a follow-up that does the rest"
            )

    def _check_key_use(self, command: str, form: CommandSpec, name: str, size: int) -> None:
        kind = form.kind if form.kind != "any" else self._kinds.get(name, "any")
        if self._kinds.get(name, "any") not in ("any", kind):
            raise InvalidInput(
                f"transaction: {command} makes key {name!r} a {kind}, before it was a {self._kinds[name]}"
            )
        other = _NUMBER_OR_TEXT.get(command, "")
        if (name, other) in self._used:
            raise InvalidInput(
                f"transaction: {command} and {other} cannot both be applied to key {name!r}; use two keys"
            )
        if self._bytes + size > MAX_BYTES:
            raise InvalidInput(f"transaction: its values have {self._bytes + size} bytes, allowed are {MAX_BYTES}")
        self._kinds[name] = kind
        self._used.add((name, command))
        self._bytes += size


def _check_arguments(command: str, form: CommandSpec, args: tuple[Value, ...]) -> None:
    if not form.least <= len(args) <= form.most or len(args) % form.step:
        pairs = " in pairs" if form.step == 2 else ""
        raise InvalidInput(
            f"transaction: {command} has {len(args)} arguments, allowed are {form.least}–{form.most}{pairs}"
        )
    for value in args:
        _check_value(command, value)
    for position in form.whole:
        low = 1 if command == "PEXPIRE" else -MAX_ADDED
        high = LONGEST_EXPIRY_MS if command == "PEXPIRE" else MAX_ADDED
        value = args[position]
        if not isinstance(value, int) or not low <= value <= high:
            raise InvalidInput(f"transaction: {command} has {show(value)}, allowed are whole numbers {low}–{high}")
    for value in args[:: _SCORES[command]] if command in _SCORES else ():
        if not isinstance(value, int | float) or not abs(value) <= 1e300:
            raise InvalidInput(f"transaction: {command} has score {show(value)}, allowed are finite numbers")


def _check_value(command: str, value: object) -> None:
    """Check that the client library can write a value: what it fails at ends the process. Raises InvalidInput."""
    if isinstance(value, bool) or not isinstance(value, str | bytes | int | float):
        raise InvalidInput(f"transaction: {command} has argument {show(value)}, allowed are str, bytes, int and float")
    if isinstance(value, int) and abs(value) > LARGEST_WHOLE:
        raise InvalidInput(f"transaction: {command} has {show(value)}, allowed are numbers of 64 bits; write str(…)")
    if isinstance(value, str) and not is_encodable(value):
        raise InvalidInput(f"transaction: {command} has {show(value)}, which cannot be written as UTF-8; give bytes")


def _plain(value: Value) -> Value:
    """Return a value without its subclass, such as a member of an enumeration, whose repr would be written."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        return bytes(value)
    return int(value) if isinstance(value, int) else float(value)


def _size(value: Value) -> int:
    return len(value.encode()) if isinstance(value, str) else len(value) if isinstance(value, bytes) else 8
