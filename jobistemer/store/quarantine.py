"""Calls about the quarantine: what cannot be read is moved there with its place and the reason, and may come back."""

from __future__ import annotations

from collections.abc import Sequence
from secrets import token_hex
from typing import NamedTuple

from jobistemer.core.unreadable import Unreadable, to_text
from jobistemer.store.database import Command, Database
from jobistemer.store.keys import Keys
from jobistemer.store.scripts import ScriptCall, script

KEEP_MS = 30 * 86_400_000
"""How long the quarantine is kept after its last entry, and each key that was put aside."""

TYPES_PER_TRIP = 500


class Quarantined(NamedTuple):
    """One thing in the quarantine: its entry, where it stood, the reason, and the member or the name it is kept under.

    score: of a member of a sorted set, as the server wrote it.
    """

    entry: str
    key: str
    reason: str
    member: bytes = b""
    score: bytes = b""
    kept: str = ""


def quarantine_member(keys: Keys, found: Unreadable, record: str = "") -> ScriptCall:
    """Build the call that moves a member to the quarantine; not when `record` exists, as it is in order then."""
    return script("quarantine_member")(
        (found.key, keys.quarantine, record or keys.nothing),
        (found.member, found.score, found.key, found.reason, KEEP_MS),
    )


def quarantine_key(keys: Keys, key: str, expected: str, reason: str = "") -> ScriptCall:
    """Build the call that puts a key aside unless it has the expected type; without one, in any case."""
    kept = keys.kept(token_hex(8))
    why = reason or f", not a {expected}"
    return script("quarantine_key")((key, kept, keys.quarantine), (expected, key, kept, why, KEEP_MS))


def restore(keys: Keys, found: Quarantined) -> ScriptCall:
    """Build the call that puts something back where it was; a second send of this call is recognised by its mark."""
    return script("restore_quarantined")(
        (keys.quarantine, found.key, found.kept or keys.nothing, keys.kept(token_hex(8))),
        (found.entry, found.member, found.score),
    )


def list_quarantined(database: Database, limit: int | None = None) -> list[Quarantined]:
    """Return what is in the quarantine of a shard, the latest first; all of it without a limit."""
    most = () if limit is None else ("COUNT", limit)
    entries = database.read("XREVRANGE", database.keys.quarantine, "+", "-", *most)
    return [_read_entry(entry, fields) for entry, fields in entries if fields]


def count_quarantined(database: Database) -> int:
    """Return how many things are in the quarantine of a shard."""
    return int(database.read("XLEN", database.keys.quarantine))


def purge(database: Database, found: Quarantined) -> bool:
    """Delete something for good. Returns whether it was there."""
    commands: list[Command] = [("XDEL", database.keys.quarantine, found.entry)]
    if found.kept:
        commands.append(("DEL", found.kept))
    return bool(database.ask_all(commands)[0])


def find_wrong_types(database: Database, keys: Sequence[str]) -> list[Unreadable]:
    """Return those of the keys that have another type than their kind has; nothing is changed."""
    found: list[Unreadable] = []
    for start in range(0, len(keys), TYPES_PER_TRIP):
        part = keys[start : start + TYPES_PER_TRIP]
        for key, answer in zip(part, database.ask_all([("TYPE", key) for key in part]), strict=True):
            kind, expected = type_text(answer), database.keys.expected_type(key)
            if expected and kind not in ("none", expected):
                found.append(Unreadable(key, f"it is a {kind}, not a {expected}"))
    return found


def type_text(answer: bytes | str) -> str:
    """Return the answer to `TYPE` as a text."""
    return answer.decode() if isinstance(answer, bytes) else str(answer)


def _read_entry(entry: bytes, fields: dict[bytes, bytes]) -> Quarantined:
    return Quarantined(
        to_text(entry),
        to_text(fields.get(b"key", b"")),
        to_text(fields.get(b"reason", b"")),
        fields.get(b"member", b""),
        fields.get(b"score", b""),
        to_text(fields.get(b"kept", b"")),
    )
