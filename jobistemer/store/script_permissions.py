"""What each script does to which kind of key, read from its text and its header."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache
from typing import Final, NamedTuple

from jobistemer.store.keys import TYPES
from jobistemer.store.scripts import list_scripts, read_contract, script

_REDIS_CALL = re.compile(r"redis\.p?call\(\s*'([A-Za-z]+)'(?:\s*,\s*'([A-Z]+)')?\s*,?\s*([^,)\n]*)")
_SEVERAL_KEYS = re.compile(r"redis\.p?call\(\s*'(EXISTS|DEL|RENAME)',([^()]*,[^()]*)\)")
_CHECK_CALL = re.compile(r"^\s*check_types\((.*)\)$", re.MULTILINE)
_CHECKS: Final = ("hlen", "zcard", "scard", "llen", "xlen", "strlen")
"""What the fragment `check_types` calls for the keys in each of its tables, in their order."""
_CHECK_OF_TYPE: Final = dict(zip(("hash", "zset", "set", "list", "stream", "string"), _CHECKS, strict=True))
"""What the fragment `check_all_types` calls for all keys of a script, by their type."""
_KEY = re.compile(r"^  (\w+)\s+(hash|set|zset|list|string|stream|any)\s.*$", re.MULTILINE)
_KIND = re.compile(r"\{ns:shard\}:([a-z]+)")
# Their second word decides what they do, so only the word that is used is allowed.
_COMMANDS_WITH_SUBCOMMANDS = ("XGROUP", "XINFO")
# A rate has two sets in the places of the two keys that another limit has.
_INSTEAD: Final = {"held": "rate", "waiting": "promised"}
# Names that stand in bodies for keys that the header calls otherwise.
_ALIASES: Final = {
    "times": ("held", "waiting", "rate", "promised"),
    "next_run": ("run",),
    "next_stream": ("stream",),
    "key": ("app",),
    # What a transaction enqueues.
    "next_keys(hashes)": ("run",),
    "next_keys(zsets)": ("delayed",),
    "next_keys(sets)": ("streams", "closed"),
    "next_keys(streams)": ("stream",),
    "next_keys(strings)": ("unique",),
    "(next_keys(1": ("run", "attempt", "log"),
    "unpack(attempts": ("attempt",),
    "unpack(attempts)": ("attempt",),
    "unpack(logs": ("log",),
    "unpack(logs)": ("log",),
    "attempts[i]": ("attempt",),
    "runs": ("run",),
    "unpack(runs": ("run",),
    "unpack(records": ("run",),
    "all_keys(": ("job", "versions", "history", "audit"),
    "full and full.waiting": ("waiting",),
    "redis.call('EXISTS'": ("queued", "live"),
}


class Permission(NamedTuple):
    """A command on a kind of key, such as `hset` on `run`; kind is empty for a command without a key."""

    command: str
    kind: str


@cache
def read_permissions(name: str) -> frozenset[Permission]:
    """Return what a script does. Raises ValueError for a call whose key no header names."""
    found = script(name)
    kinds = _read_kinds((name, *found.header.uses))
    for fragment in found.header.uses:
        _add_passed_kinds(kinds, fragment, found.text)
    permissions = set[Permission]()
    for command, word, argument in _REDIS_CALL.findall(found.text):
        allowed = (f"{command}|{word}" if command in _COMMANDS_WITH_SUBCOMMANDS else command).lower()
        permissions |= {Permission(allowed, kind) for kind in _find_kinds(name, allowed, argument.strip(), kinds)}
    for command, more in _SEVERAL_KEYS.findall(found.text):
        for argument in map(str.strip, more.split(",")):
            permissions |= {Permission(command.lower(), kind) for kind in _find_kinds(name, command, argument, kinds)}
    for call in _CHECK_CALL.findall(found.text):
        tables = re.findall(r"\{([^{}]*)\}|nil", call)
        for command, keys in zip(_CHECKS, tables, strict=False):
            permissions |= {
                Permission(command, kind)
                for key in filter(None, map(str.strip, keys.split(",")))
                for kind in _find_kinds(name, command, key, kinds)
            }
    if "check_all_types" in found.header.uses:
        typed = {kind: TYPES.get(kind, "") for kind in found.header.key_kinds}
        permissions |= {Permission(_CHECK_OF_TYPE[typed[kind]], kind) for kind in typed if typed[kind]}
    return frozenset(permissions)


@cache
def list_single_kinds() -> frozenset[str]:
    """Return the kinds of keys that stand without a name or an id: there is one of each in a shard."""
    headers = "".join(read_contract(part) for each in list_scripts() for part in (each.name, *each.header.uses))
    return frozenset(kind for kind, name in re.findall(r"\{ns:shard\}:([a-z]+)(:?)", headers) if not name)


def _read_kinds(parts: tuple[str, ...]) -> dict[str, set[str]]:
    """Return the kinds of key that each name in a script and its fragments stands for."""
    kinds = defaultdict[str, set[str]](set)
    for part in parts:
        for line in _KEY.finditer(read_contract(part)):
            kinds[line[1]] |= set(_KIND.findall(line[0]))
        if "rate" in _KIND.findall(read_contract(part)):
            for kind, other in _INSTEAD.items():
                kinds[kind].add(other)
    return kinds


def _add_passed_kinds(kinds: dict[str, set[str]], fragment: str, text: str) -> None:
    """Add to the names of a fragment's keys the kinds of those that it is called with."""
    signature, *calls = re.findall(rf"\b{fragment}\(([^()]*)", text)
    for call in calls:
        for name, given in zip(map(str.strip, signature.split(",")), map(str.strip, call.split(",")), strict=False):
            if given in kinds:
                kinds[name] |= kinds[given]


def _find_kinds(name: str, command: str, argument: str, kinds: dict[str, set[str]]) -> set[str]:
    if command in ("time", "publish"):
        return {""}
    if argument == "checked":
        # In `check_types`: its calls name the keys.
        return set()
    names = [each.rpartition(".")[2] for each in argument.split(" or ")]
    found = {kind for each in names for kind in kinds.get(each, ())} or set(_ALIASES.get(argument, ()))
    if not found and any(each in kinds for each in names):
        # A key of any kind, as the scripts of the quarantine take: the kinds follow from what a role may write.
        return set()
    if not found:
        raise ValueError(f"script {name}: no header names the key of {command} {argument!r}")
    return found
