"""Limits: a run takes a permit of each of its limits before it starts, and its permits are given back at its end.

A permit is held for one entry of a stream, and an entry is removed when its attempt ends. So a permit whose entry is
gone is free, and three callers may find that: the worker that ended the attempt, the worker that took over the work of
a dead one, or the sweep. A counter in place of the entry could not be repaired after a crash: it would not say which
of its permits are still in use.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from jobistemer.core.errors import JobistemerError
from jobistemer.core.jobs.limits import LimitUse
from jobistemer.core.runs.message import Delivery, encode_message
from jobistemer.core.unreadable import Unreadable, read_value, to_text
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys, front_of, place, place_of_stream, read_delayed_member, split_delayed_member
from jobistemer.store.reading import read_members
from jobistemer.store.scripts import Reply, ScriptCall, script

MAX_ROUNDS = 100
"""How often in a row waiting runs are let in; the sweep goes on where this ends."""
RELEASES_PER_TRIP = 100
"""How many permits the sweep looks at in one round trip."""

_ENTRY = re.compile(r"\d+-\d+")

_encode = msgspec.json.encode
_decode_uses = msgspec.json.Decoder(tuple[LimitUse, ...]).decode

HeldPermits = tuple[str, bytes, bytes, Sequence[LimitUse]]
"""A run, its stream, its entry, and the limits it counts under."""


def admit_run(keys: Keys, delivery: Delivery, uses: Sequence[LimitUse], now_ms: int) -> ScriptCall:
    """Build the call that asks for all permits which a fetched run needs: it gets all of them or none."""
    message = delivery.message
    where, stream = place(message.queue, message.priority), delivery.stream.decode()
    counted = [key for use in uses for key in _use_keys(keys, use)]
    return script("admit_run")(
        (stream, keys.run(message.run), keys.limits, keys.delayed, keys.wake, *counted),
        (
            delivery.entry,
            message.run,
            where,
            holder_value(delivery.stream, delivery.entry),
            encode_message(message),
            delivery.attempt,
            delivery.crashes,
            _waiting_score(delivery.entry),
            now_ms,
            _encode(uses),
            *(part for use in uses for part in use),
        ),
    )


def admit_waiting_run(keys: Keys, name: str, member: str, uses: Sequence[LimitUse]) -> ScriptCall:
    """Build the call that gives a run which waits for the limit `name` its permits."""
    where, run = split_delayed_member(member)
    front, at_a_time = front_of(where), _concurrency_uses(uses)
    counted = [key for use in at_a_time for key in _use_keys(keys, use)]
    return script("admit_waiting_run")(
        (keys.waiting(name), keys.run(run), keys.stream(front), keys.streams, keys.limits, *counted),
        (run, member, front, *(part for use in at_a_time for part in use[:2])),
    )


def release_limits(keys: Keys, holding: HeldPermits) -> ScriptCall:
    """Build the call that gives back the permits of an entry, once the entry is gone."""
    run, stream, entry, uses = holding
    at_a_time = _concurrency_uses(uses)
    counted = [key for use in at_a_time for key in _use_keys(keys, use)]
    return script("release_limits")(
        # Without an entry the script reads no stream; its key must still be one of this shard.
        (stream.decode() or keys.limits, keys.limits, *counted),
        (run, entry, holder_value(stream, entry), *(use.name for use in at_a_time)),
    )


def release_permits(database: Database, holdings: Sequence[HeldPermits]) -> None:
    """Give back the permits of attempts that have ended, and let in the runs that waited for them.

    Raises NotConnected. A permit that is not given back is found by the sweep.
    """
    if not holdings:
        return
    replies = database.call_all([release_limits(database.keys, each) for each in holdings])
    freed: Counter[str] = Counter()
    for (_, _, _, uses), reply in zip(holdings, replies, strict=True):
        if isinstance(reply, Reply) and reply.word == "RELEASED":
            freed.update(use.name for use in _concurrency_uses(uses))
    admit_waiting(database, freed)


def release_deliveries(database: Database, deliveries: Sequence[Delivery]) -> None:
    """Give back the permits of attempts whose limits only the record of the run says. Raises NotConnected."""
    found = read_uses(database, [each.message.run for each in deliveries])
    limited = [(each, uses) for each, uses in zip(deliveries, found, strict=True) if uses]
    release_permits(database, [(each.message.run, each.stream, each.entry, uses) for each, uses in limited])


def admit_waiting(database: Database, freed: Mapping[str, int]) -> int:
    """Let in the runs that wait longest for limits with freed permits.

    freed: how many permits each limit has got back. Returns the number of runs that were let in. Raises NotConnected.
    """
    admitted = 0
    # Round by round, since a run that is let in here may need other limits too: then it moves to the list of one that
    # is full, and the permit is still free for the next run in this list.
    for _ in range(MAX_ROUNDS):
        waiting = _list_first_waiting(database, freed)
        if not waiting:
            break
        found = read_uses(database, [split_delayed_member(member)[1] for _, member in waiting])
        calls = [admit_waiting_run(database.keys, *each, uses) for each, uses in zip(waiting, found, strict=True)]
        replies = database.call_all(calls)
        admitted += sum(isinstance(reply, Reply) and reply.word == "ADMITTED" for reply in replies)
        # A limit that is full, or whose call was refused, is given up: asking again would have the same reply. The
        # other limits may have permits for more runs.
        exhausted = {
            name
            for (name, _), reply in zip(waiting, replies, strict=True)
            if isinstance(reply, JobistemerError) or reply.word == "FULL"
        }
        freed = {name: freed[name] for name, _ in waiting if name not in exhausted}
    return admitted


def read_uses(database: Database, runs: Sequence[str]) -> list[tuple[LimitUse, ...]]:
    """Read the limits of each run from its record; none for a run without limits or without a record."""
    answers = database.read_all([("HGET", database.keys.run(run), "limits") for run in runs]) if runs else []
    # Limits that cannot be read are none: an attempt must not wait for ever for what nobody can name.
    found = [read_value("", _decode_uses, answer) if answer else () for answer in answers]
    return [() if isinstance(each, Unreadable) else each for each in found]


def sweep_limits(database: Database) -> int:
    """Free the permits of attempts that have ended, and let in runs that wait for them.

    This finds permits only after a worker has died between the commit of an attempt and the call that gives its permits
    back. These are two calls so that the commits of runs without limits carry no keys of limits, see
    docs/decisions/0261-slots-are-held-for-entries.md.
    Returns the number of runs that were let in.
    """
    names = sorted(to_text(name) for name in database.read("HKEYS", database.keys.limits))
    for name in names:
        _release_stale_permits(database, name)
    # One for each, freed or not: a permit may also have been freed before its worker died.
    return admit_waiting(database, dict.fromkeys(names, 1))


def _release_stale_permits(database: Database, name: str) -> None:
    flat = database.read("HGETALL", database.keys.held(name))
    held = dict(zip(flat[::2], flat[1::2], strict=True)) if isinstance(flat, list) else flat
    use = LimitUse(name, 1, 0)
    calls = []
    for run, mark in held.items():
        where, _, entry = to_text(mark).partition(" ")
        if _ENTRY.fullmatch(entry):
            stream = database.keys.stream(where).encode()
            calls.append(release_limits(database.keys, (to_text(run), stream, entry.encode(), (use,))))
        else:
            # It names no entry, so that none has it: held for ever, it would take a place of the limit for good.
            free = release_limits(database.keys, ("", b"", b"", (use,)))
            calls.append(free._replace(args=(run, b"", mark, name)))
    if not calls:
        # No run holds a permit. This call removes the name from the limits in use, unless a run waits for it.
        calls.append(release_limits(database.keys, ("", b"", b"", (use,))))
    for start in range(0, len(calls), RELEASES_PER_TRIP):
        database.call_all(calls[start : start + RELEASES_PER_TRIP])


def _list_first_waiting(database: Database, freed: Mapping[str, int]) -> list[tuple[str, str]]:
    names = list(freed)
    for _ in range(MAX_ROUNDS if names else 0):
        bad: list[Unreadable] = []
        keys = [database.keys.waiting(name) for name in names]
        heads = database.read_all([("ZRANGE", key, 0, freed[name] - 1) for name, key in zip(names, keys, strict=True)])
        found = [
            (name, member)
            for name, key, members in zip(names, keys, heads, strict=True)
            for member in read_members(key, members, bad, read_delayed_member)
        ]
        # A member that cannot be read must not stand in front of the others: the next look finds those behind it.
        if found or not bad or database.put_aside is None:
            return found
        database.put_aside(database, bad)
    return []


def permits_key(keys: Keys, use: LimitUse) -> str:
    """Return the key with the permits of a limit, or with the starts of a rate."""
    return _use_keys(keys, use)[0]


def _use_keys(keys: Keys, use: LimitUse) -> tuple[str, str]:
    if use.per_ms:
        return keys.rate(use.name), keys.promised(use.name)
    return keys.held(use.name), keys.waiting(use.name)


def _concurrency_uses(uses: Iterable[LimitUse]) -> list[LimitUse]:
    return [use for use in uses if not use.per_ms]


def _waiting_score(entry: bytes) -> float:
    """Return the place in a waiting list: the milliseconds of an entry, and its number within them as a fraction."""
    milliseconds, _, number = entry.partition(b"-")
    return int(milliseconds) + min(int(number), 999) / 1000


def holder_value(stream: bytes, entry: bytes) -> str:
    """Return what a permit of an entry is held for: `<place of the stream> <entry>`."""
    # With the place: entries of two streams may have the same id, and a run moves between its own and the front.
    return f"{place_of_stream(stream)} {entry.decode()}"
