"""The whole state of a shard as a plain value, to be compared before and after; and what must hold of it at rest."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from jobistemer.store.database import Database
from jobistemer.store.keys import GROUP
from tests.support.servers import is_clustered


class Stream(NamedTuple):
    """What a stream holds: fields by entry, and the consumer of each entry in flight."""

    entries: dict[str, dict[str, str]]
    pending: dict[str, str]


def records(database: Database) -> dict[str, Any]:
    """Everything in the shard by key, without the tag in front.

    Audit lists stand in `audits`, lists of ended runs in `ended`, the counts of runs that have ended in `outcomes`.
    """
    beside = ("audit:", "ended:", "outcomes:")
    names = {key: _short(database, key) for key in _all_keys(database)}
    found = {name: _value(database, key) for key, name in names.items() if not name.startswith(beside)}
    # Where workers are at work, a key may go while it is looked at.
    return {name: value for name, value in found.items() if value is not None}


def outcomes(database: Database) -> dict[str, int]:
    """How many runs are counted as ended, by `<state> <queue> <task>`."""
    keys = [key for key in _all_keys(database) if _short(database, key).startswith("outcomes:")]
    counts: Counter[str] = Counter()
    for key in keys:
        counts += Counter({field.decode(): int(count) for field, count in database.client.hgetall(key).items()})
    return dict(counts)


def audits(database: Database) -> dict[str, list[dict[str, str]]]:
    """The audit list of each job, the oldest entry first."""
    lists = [key for key in _all_keys(database) if _short(database, key).startswith("audit:")]
    return {_short(database, key): [_parse_audit(text) for text in database.client.lrange(key, 0, -1)] for key in lists}


def ended(database: Database) -> dict[str, list[str]]:
    """The runs that ended last, by their state, the latest first."""
    lists = [key for key in _all_keys(database) if _short(database, key).startswith("ended:")]
    return {_short(database, key).removeprefix("ended:"): _value(database, key) for key in lists}


def _beside(database: Database) -> tuple[object, ...]:
    return audits(database), ended(database), outcomes(database)


def _parse_audit(text: bytes) -> dict[str, str]:
    return dict(zip(("at", "by", "what", "note"), text.decode().split("\n", 3), strict=True))


def expiring_keys(database: Database) -> set[str]:
    """The keys that have an expiry, without the counts of runs that have ended."""
    found = {_short(database, key) for key in _all_keys(database) if database.client.pttl(key) > 0}
    return {name for name in found if not name.startswith("outcomes:")}


def ttl_ms(database: Database, key: str) -> int:
    """How long a key still lives, rounded up to whole minutes since real servers count on.

    Less than two seconds more than a minute are none: a worker on a busy machine may see the server's clock too late.
    """
    remaining = database.client.pttl(f"{database.keys.tag}:{key}")
    return max(1, -(-(remaining - 2_000) // 60_000)) * 60_000 if remaining > 0 else remaining


@contextmanager
def nothing_written(database: Database) -> Iterator[None]:
    """What happens inside must leave the shard exactly as it was."""
    before, before_mortal, before_lists = records(database), expiring_keys(database), _beside(database)
    yield
    assert _beside(database) == before_lists
    assert records(database) == before
    assert expiring_keys(database) == before_mortal


# What may stay for ever: definitions and what is known of queues; and members, as long as they live.
_CONFIGURATION = re.compile(
    r"(due|streams|expected|paused|workers|identity|changes|\{\w+\}:settings|job:\w+|versions:\w+|history:\w+|audit:\w+|ended:\w+)$"
)


def find_leaks(database: Database) -> dict[str, Any]:
    """What would stay although nothing is going on (invariant I9): empty when the shard is at rest and clean.

    Streams may stay when they are empty and nothing is pending; a history or versions only beside their job.
    """
    # In this order: a key that expires between the two reads would otherwise seem to stay for ever.
    dying, state = expiring_keys(database), records(database) | audits(database)
    left = {key: value for key, value in state.items() if key not in dying and not _CONFIGURATION.fullmatch(key)}
    orphaned = {
        key: value
        for key, value in state.items()
        if key.startswith(("history:", "versions:", "audit:"))
        and key not in dying
        and f"job:{key.partition(':')[2]}" not in state
    }
    # An update that waits for its time is configuration; any other chore is something that goes on.
    if all(chore.startswith("update:") for chore in left.get("chores", ())):
        left.pop("chores", None)
    # The list of the dead is swept; until then it may name those whose records are about to go, and no others.
    if all(f"run:{run}" in dying for run in left.get("dead", ())):
        left.pop("dead", None)
    return {key: value for key, value in left.items() if value != Stream({}, {})} | orphaned


_SHARD = re.compile(rb"\{\w+:\d+\}:")


def _texts(fields: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in fields.items()}


def _all_keys(database: Database) -> list[bytes]:
    tag, found = f"{database.keys.tag}:".encode(), database.client.keys("*")
    # What is in other shards is not looked at; on a cluster they, and the settings, may be on other nodes anyway.
    alone = is_clustered(database.address)
    return sorted(key for key in found if key.startswith(tag) or not (alone or _SHARD.match(key)))


def _short(database: Database, key: bytes) -> str:
    return key.decode().removeprefix(database.keys.tag + ":")


def _value(database: Database, key: bytes) -> Any:
    client = database.client
    match client.type(key):
        case b"hash":
            return {field.decode(): value.decode() for field, value in client.hgetall(key).items()}
        case b"zset":
            return {
                member.decode(errors="backslashreplace"): int(score)
                for member, score in client.zrange(key, 0, -1, withscores=True)
            }
        case b"list":
            return [each.decode() for each in client.lrange(key, 0, -1)]
        case b"set":
            return {member.decode() for member in client.smembers(key)}
        case b"stream":
            return _stream(database, key)
        case b"none":
            return None
        case _:
            return client.get(key).decode(errors="replace")


def _stream(database: Database, key: bytes) -> Stream:
    client = database.client
    if key.endswith(b":quarantine"):
        return Stream(
            {
                entry.decode(): {name.decode(): repr(value) for name, value in fields.items()}
                for entry, fields in client.xrange(key)
            },
            {},
        )
    entries = {
        entry.decode(): {name.decode(): value.decode() for name, value in fields.items()}
        for entry, fields in client.xrange(key)
    }
    # Asked without a condition: a stream that was born without its group is a fault, and shows here.
    pending = client.xpending_range(key, GROUP, "-", "+", 1000)
    return Stream(entries, {each["message_id"].decode(): each["consumer"].decode() for each in pending})
