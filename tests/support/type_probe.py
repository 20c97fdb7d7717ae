"""The probe: calls a script again with a value of the wrong type in each of its keys, and compares all keys.

A script has no rollback. Where it meets a key of the wrong type behind its first write, half of what it does stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from jobistemer.core.errors import JobistemerError, ServerRefused
from jobistemer.store.database import Database, read_reply
from jobistemer.store.scripts import Reply, ScriptCall

BUNDLES = ("commit_successes", "commit_members", "commit_occurrences")
"""Scripts in which one run that cannot be written holds up no other one: their own tests say what becomes of it."""


class Snapshot(NamedTuple):
    """All keys: dump and expiry (Unix ms, -1 for none) by key.

    contents: of what is dumped in no fixed order. Of a stream its entries, and who has which of them, not since when.
    """

    dumps: dict[bytes, tuple[bytes, int]]
    contents: dict[bytes, object]

    def changed_since(self, before: Snapshot) -> set[str]:
        """Return the keys that differ."""
        return {to_text(key) for key in self.dumps.keys() | before.dumps.keys() if self._of(key) != before._of(key)}

    def _of(self, key: bytes) -> object:
        dump, expires_at = self.dumps.get(key, (b"", 0))
        return self.contents.get(key, dump), expires_at


def to_text(key: Any) -> str:
    return key.decode() if isinstance(key, bytes) else key


class TypeProbe:
    """Probes one script in the calls of its own tests, once for each of its ways: its word, and the keys that it changes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._seen: set[tuple[object, ...]] = set()

    def call(self, database: Database, call: ScriptCall) -> Reply:
        """Execute a call part by part, as the combined script does, and probe the script among them."""
        parts = [call._replace(extensions=()), *call.extensions]
        replies = [
            self._probe(database, each) if each.script.name == self.name else ask(database, each) for each in parts
        ]
        return replies[0]._replace(extensions=tuple(replies[1:]))

    def call_all(self, database: Database, calls: Sequence[ScriptCall]) -> list[Reply | JobistemerError]:
        def answer(call: ScriptCall) -> Reply | JobistemerError:
            try:
                return self.call(database, call)
            except JobistemerError as error:
                return error

        return [answer(each) for each in calls]

    def concerns(self, call: ScriptCall) -> bool:
        return self.name in {each.script.name for each in (call, *call.extensions)}

    def _probe(self, database: Database, call: ScriptCall) -> Reply:
        before = snapshot(database)
        reply = ask(database, call)
        after = snapshot(database)
        by_kind: dict[str, list[str]] = {}
        for key in keys_of(call):
            by_kind.setdefault(kind_of(key), []).append(key)
        # Of many keys of a kind the first and the last, so that others were written before it.
        keys = [
            key for found in by_kind.values() for key in dict.fromkeys((found[0], found[1 % len(found)], found[-1]))
        ]
        way = (reply.word, frozenset(map(kind_of, after.changed_since(before))))
        if way not in self._seen:
            self._seen.add(way)
            # What the probe does must wake nobody up.
            silent = call._replace(
                keys=tuple(f"{each}:probe" if kind_of(each) == "wake" else each for each in keys_of(call))
            )
            for key in keys:
                restore(database, before)
                check_refusal(database, silent, key)
            restore(database, after)
        return reply


def keys_of(call: ScriptCall) -> list[str]:
    return list(map(to_text, call.keys))


def kind_of(key: str) -> str:
    return key.partition("}:")[2].partition(":")[0]


def ask(database: Database, call: ScriptCall) -> Reply:
    return read_reply(call, database.ask(*call.command, script=call))


def check_refusal(database: Database, call: ScriptCall, key: str) -> None:
    """Put a value of the wrong type into a key and send the call: refused, it has written nothing."""
    expected = database.keys.expected_type(key)
    if not expected or (call.script.name in BUNDLES and kind_of(key) in ("run", "occurrence")):
        return
    database.client.delete(key)
    database.client.rpush(key, "x") if expected == "string" else database.client.set(key, "x")
    before = snapshot(database)
    try:
        ask(database, call)
    except ServerRefused:
        written = snapshot(database).changed_since(before)
        assert not written, (
            f"{call.script.name} has written {sorted(written)} before it met {key} of the wrong type: check all types first"
        )


def snapshot(database: Database) -> Snapshot:
    client, keys = database.client, sorted(database.client.keys("*"))
    pipe = client.pipeline(transaction=False)
    for key in keys:
        pipe.dump(key)
        pipe.execute_command("PEXPIRETIME", key)
        pipe.type(key)
    answers = pipe.execute()
    dumps = dict(zip(keys, zip(answers[::3], answers[1::3], strict=True), strict=True))
    readers = {b"stream": partial(read_stream, client), b"hash": client.hgetall, b"set": client.smembers}
    kinds = zip(keys, answers[2::3], strict=True)
    return Snapshot(dumps, {key: readers[kind](key) for key, kind in kinds if kind in readers})


def read_stream(client: Any, key: bytes) -> tuple[object, ...]:
    groups = [each["name"] for each in client.xinfo_groups(key)]
    pending = {name: client.execute_command("XPENDING", key, name, "-", "+", 1000) for name in groups}
    in_flight = {name: [(entry, worker, count) for entry, worker, _, count in found] for name, found in pending.items()}
    return client.xrange(key), in_flight


def restore(database: Database, wanted: Snapshot) -> None:
    pipe = database.client.pipeline(transaction=False)
    pipe.flushdb()
    for key, (dump, expires_at) in wanted.dumps.items():
        pipe.restore(key, max(expires_at, 0), dump, absttl=True)
    pipe.execute()
