"""Put aside what cannot be read, so that it concerns only itself: members of sets, and keys of the wrong type."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from jobistemer.core.errors import JobistemerError, NotConnected, ServerRefused
from jobistemer.core.unreadable import Unreadable
from jobistemer.store import quarantine
from jobistemer.store.database import Database
from jobistemer.store.quarantine import type_text
from jobistemer.store.scripts import Reply

BATCH = 100


def put_aside(database: Database, found: Sequence[Unreadable], records: Sequence[str] = ()) -> list[Unreadable]:
    """Move members to the quarantine. Returns those that this call has moved.

    records: for each of them the key whose existence means that it is in order after all. What the server refuses stays
    where it is. Raises NotConnected.
    """
    moved: list[Unreadable] = []
    for start in range(0, len(found), BATCH):
        part = _with_scores(database, found[start : start + BATCH])
        guards = records[start : start + BATCH] or [""] * len(part)
        calls = [
            quarantine.quarantine_member(database.keys, each, guard) for each, guard in zip(part, guards, strict=True)
        ]
        for each, reply in zip(part, database.call_all(calls), strict=True):
            if isinstance(reply, Reply) and reply.word == "MOVED":
                moved.append(each)
    return moved


def _with_scores(database: Database, found: Sequence[Unreadable]) -> list[Unreadable]:
    """Add the scores of members of sorted sets that were read without them."""
    bare = [each for each in found if not each.score and database.keys.expected_type(each.key) == "zset"]
    scores = database.ask_all([("ZSCORE", each.key, each.member) for each in bare]) if bare else []
    known = {
        (each.key, each.member): repr(float(score)).encode()
        for each, score in zip(bare, scores, strict=True)
        if score is not None
    }
    return [msgspec.structs.replace(each, score=known.get((each.key, each.member), each.score)) for each in found]


def put_keys_aside(database: Database, keys: Sequence[str]) -> list[Unreadable]:
    """Put aside those of the keys that have another type than their kind has. Returns them. Raises NotConnected."""
    typed = [(key, expected) for key in dict.fromkeys(keys) if (expected := database.keys.expected_type(key))]
    moved: list[Unreadable] = []
    for start in range(0, len(typed), BATCH):
        part = typed[start : start + BATCH]
        types = database.ask_all([("TYPE", key) for key, _ in part])
        wrong = [
            (key, expected, found)
            for (key, expected), found in zip(part, map(type_text, types), strict=True)
            if found not in ("none", expected)
        ]
        calls = [quarantine.quarantine_key(database.keys, key, expected) for key, expected, _ in wrong]
        replies: list[Reply | JobistemerError] = database.call_all(calls) if calls else []
        for (key, expected, found), reply in zip(wrong, replies, strict=True):
            if isinstance(reply, Reply) and reply.word == "MOVED":
                moved.append(Unreadable(key, f"it is a {found}, not a {expected}"))
    return moved


def put_unreadable_key_aside(database: Database, found: Unreadable) -> bool:
    """Put a whole key aside that has the right type and cannot be read. Returns whether it was there."""
    return database.call(quarantine.quarantine_key(database.keys, found.key, "", found.reason)).word == "MOVED"


def try_put_keys_aside(database: Database, keys: Sequence[str]) -> list[Unreadable]:
    """Do the same as `put_keys_aside`; nothing when the server refuses or does not answer."""
    try:
        return put_keys_aside(database, keys)
    except (NotConnected, ServerRefused):
        return []
