"""Find keys that nothing will ever remove. Invariant I9: every key can expire or is still in use.

A key of a kind that this release does not know is no leak: another program has written it, or a newer release.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from jobistemer.core.states import TERMINAL_OCCURRENCES, TERMINAL_RUNS
from jobistemer.core.unreadable import READ_ERRORS, explain, to_text
from jobistemer.store.acl import ROLES, list_key_kinds
from jobistemer.store.database import Database
from jobistemer.store.keys import delayed_member, split_place

PAGE: Final = 1_000
"""How many keys one step of the scan asks for."""
_JOB_KINDS: Final = ("history", "versions", "audit")
_KNOWN_KINDS: Final = frozenset(kind for role in ROLES.values() for kind in list_key_kinds(role))


class LeakedKey(NamedTuple):
    """A key that would stay for ever. why: what is wrong with it, empty for one of a kind that is not known here."""

    key: str
    why: str


def find_leaked_keys(database: Database, most_keys: int) -> Iterator[LeakedKey]:
    """Yield the keys of a shard that would stay for ever; checks at most `most_keys` keys."""
    for keys in _scan_pages(database, most_keys):
        lasting = database.read_all([("PTTL", key) for key in keys])
        for key in (key for key, left in zip(keys, lasting, strict=True) if left == -1):
            kind, _, name = key.removeprefix(f"{database.keys.tag}:").partition(":")
            if kind not in _KNOWN_KINDS:
                yield LeakedKey(key, "")
            elif why := _try_explain(database, kind, name):
                yield LeakedKey(key, why)


def _scan_pages(database: Database, most_keys: int) -> Iterator[list[str]]:
    cursor, seen = b"0", 0
    while seen < most_keys:
        cursor, found = database.ask("SCAN", cursor, "MATCH", f"{database.keys.tag}:*", "COUNT", PAGE)
        if found:
            # What transactions of the application have written is the application's; only a worker may read it.
            names = [key.decode(errors="replace") for key in found]
            yield [key for key in names if not key.startswith(f"{database.keys.tag}:app:")]
        seen += PAGE
        if int(cursor) == 0:
            return


def _try_explain(database: Database, kind: str, name: str) -> str:
    try:
        return _explain(database, kind, name)
    except READ_ERRORS as error:
        return f"it cannot be read: {explain(error)}"


def _explain(database: Database, kind: str, name: str) -> str:
    if kind in _JOB_KINDS:
        return "" if database.read("EXISTS", database.keys.job(name)) else "its job is gone, and it has no expiry"
    return _CHECKS[kind](database, name) if kind in _CHECKS else ""


def _check_run(database: Database, run: str) -> str:
    fields = ("state", "entry", "place", "occurrence", "waits", "waiting", "group")
    state, entry, place, occurrence, *elsewhere = (
        to_text(value) if value else "" for value in database.read("HMGET", database.keys.run(run), *fields)
    )
    if occurrence and not database.read("EXISTS", database.keys.occurrence(occurrence)):
        return "its occurrence is gone, and it has no expiry"
    if state in TERMINAL_RUNS:
        return "" if occurrence or elsewhere[-1] else f"it is {state}, and has no expiry"
    if state != "pending" or not entry or any(each not in ("", "0") for each in elsewhere):
        return ""
    return "" if _is_on_stream(database, run, place, entry) else f"it is pending, but not on the stream of {place}"


def _is_on_stream(database: Database, run: str, place: str, entry: str) -> bool:
    held = database.read("XRANGE", database.keys.stream(place), entry, entry)
    held = held or database.read("ZSCORE", database.keys.delayed, delayed_member(place, run)) is not None
    # The run may have moved on between the questions: then its entry is another one now.
    return bool(held) or database.read("HGET", database.keys.run(run), "entry") != entry.encode()


def _check_occurrence(database: Database, occurrence: str) -> str:
    state, job = database.read("HMGET", database.keys.occurrence(occurrence), "state", "job")
    if not state or not job:
        return "it has no state or no job"
    if to_text(state) in TERMINAL_OCCURRENCES:
        return f"it is {to_text(state)}, and has no expiry"
    sets = (database.keys.live(to_text(job)), database.keys.queued(to_text(job)))
    listed = any(database.read("ZSCORE", key, occurrence) is not None for key in sets)
    return "" if listed else f"it is {to_text(state)}, but not listed as such for its job"


def _check_stream(database: Database, place: str) -> str:
    listed = place.encode() in database.read("SMEMBERS", database.keys.streams)
    return "" if listed else f"no worker knows of it: queue {split_place(place)[0]} is not listed"


def _check_worker(database: Database, worker: str) -> str:
    listed = database.read("ZSCORE", database.keys.workers, worker) is not None
    return "" if listed else "no such worker is listed, and it has no expiry"


def _check_unique(_database: Database, _name: str) -> str:
    return "a unique key without expiry is held for ever"


_CHECKS: Final[dict[str, Callable[[Database, str], Any]]] = {
    "run": _check_run,
    "occurrence": _check_occurrence,
    "stream": _check_stream,
    "worker": _check_worker,
    "unique": _check_unique,
}
