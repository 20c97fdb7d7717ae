"""Heartbeats of tickers and workers: the calls by which they report, and the work and requests that come back."""

from __future__ import annotations

import secrets
from typing import NamedTuple

from jobistemer.core.unreadable import READ_ERRORS, Unreadable
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys, read_delayed_member, read_place
from jobistemer.store.reading import read_members, read_scored
from jobistemer.store.scripts import Reply, ScriptCall, script

IDENTITY_BYTES = 8
"""How long the identity of a shard is, before it is written as a hexadecimal text."""
STREAMS_PER_CALL = 100
"""How many streams one call of `forget_worker` checks."""


class BeatReply(NamedTuple):
    """The answer to a worker's heartbeat: silent workers, runs to cancel, places, holds, and a command from people.

    identity: of the shard. found_ms: the beat of this worker that was on record. sights: by suspect, since when (ms) it
    is known to be one.
    unreadable: the members among these that cannot be read.
    """

    suspects: dict[str, int]
    cancels: list[str]
    places: list[str]
    paused: set[str]
    command: str
    server_ms: float
    holds: frozenset[str]
    identity: str = ""
    found_ms: int | None = None
    sights: dict[str, int] = {}  # noqa: RUF012 - never changed
    unreadable: tuple[Unreadable, ...] = ()


class Agenda(NamedTuple):
    """The work of a ticker: due jobs, delayed runs and deadlines with their times in ms, and queues that can move on.

    tickers: the live ones, in an order that is the same for all of them. expected: jobs by the ms by which they have to
    complete. identity: of the shard. found_ms: the beat of this ticker that was on record. unreadable: the
    members among all these that cannot be read.
    """

    due: dict[str, int]
    delayed: list[tuple[str, int]]
    starts: list[str]
    tickers: list[str]
    deadlines: list[tuple[str, int]]
    expected: list[tuple[str, int]]
    identity: str = ""
    found_ms: int | None = None
    unreadable: tuple[Unreadable, ...] = ()


def beat_worker(
    keys: Keys, worker: str, now_ms: int, lease_ms: int, since_ms: int, status: bytes, candidate: str = ""
) -> ScriptCall:
    """Report that a worker is alive.

    candidate: the identity of a shard that has none; empty for a new one with each beat, so that no identity comes back
    on a server that was emptied.
    """
    return script("beat_worker")(
        (
            *(keys.workers, keys.worker(worker), keys.cancels, keys.streams, keys.paused, keys.holds),
            *(keys.identity, keys.suspects),
        ),
        (worker, now_ms, lease_ms, since_ms, status, candidate or secrets.token_hex(IDENTITY_BYTES)),
    )


def read_beat_reply(keys: Keys, reply: Reply) -> BeatReply:
    """Read the answer to a worker's heartbeat."""
    bad: list[Unreadable] = []
    suspects, cancels, places, paused, command, (seconds, micros), holds, identity, found, sights = reply.values
    return BeatReply(
        suspects=dict(read_scored(keys.workers, suspects, bad)),
        cancels=read_members(keys.cancels, cancels, bad),
        places=sorted(read_members(keys.streams, places, bad, read_place)),
        paused=set(read_members(keys.paused, paused, bad)),
        command=command.decode(errors="replace"),
        server_ms=int(seconds) * 1000 + int(micros) / 1000,
        holds=frozenset(read_members(keys.holds, holds, bad)),
        identity=identity.decode(errors="replace"),
        found_ms=_read_score(found),
        sights={name.decode(errors="replace"): int(at) for name, at in zip(suspects[::2], sights, strict=True)},
        unreadable=tuple(bad),
    )


def beat_ticker(
    keys: Keys, ticker: str, now_ms: int, status: bytes, horizon_ms: int, limit: int, candidate: str = ""
) -> ScriptCall:
    """Report that a ticker is alive, and ask for the agenda up to `horizon_ms`, with at most `limit` due jobs.

    candidate: see `beat_worker`.
    """
    return script("beat_ticker")(
        (
            keys.tickers,
            keys.ticker(ticker),
            keys.due,
            keys.delayed,
            keys.starts,
            keys.deadlines,
            keys.expected,
            keys.identity,
        ),
        (ticker, now_ms, status, horizon_ms, limit, candidate or secrets.token_hex(IDENTITY_BYTES)),
    )


def read_agenda(keys: Keys, reply: Reply) -> Agenda:
    """Read the answer to a ticker's heartbeat."""
    due, delayed, starts, tickers, deadlines, expected, identity, found = reply.values
    try:
        # In one go: a look lists up to 20,000 due jobs, and one member among millions is odd, if any.
        return Agenda(
            dict(zip(map(bytes.decode, due[::2]), map(int, due[1::2]), strict=True)),
            list(zip(map(read_delayed_member, delayed[::2]), map(int, delayed[1::2]), strict=True)),
            list(map(bytes.decode, starts)),
            sorted(map(bytes.decode, tickers)),
            list(zip(map(bytes.decode, deadlines[::2]), map(int, deadlines[1::2]), strict=True)),
            list(zip(map(bytes.decode, expected[::2]), map(int, expected[1::2]), strict=True)),
            identity.decode(),
            int(found) if found else None,
        )
    except READ_ERRORS:
        return _read_odd_agenda(keys, reply)


def _read_odd_agenda(keys: Keys, reply: Reply) -> Agenda:
    """Read an answer among whose members or scores some are odd, each by itself."""
    bad: list[Unreadable] = []
    due, delayed, starts, tickers, deadlines, expected, identity, found = reply.values
    return Agenda(
        due=dict(read_scored(keys.due, due, bad)),
        delayed=read_scored(keys.delayed, delayed, bad, read_delayed_member),
        starts=read_members(keys.starts, starts, bad),
        tickers=sorted(read_members(keys.tickers, tickers, [])),
        deadlines=read_scored(keys.deadlines, deadlines, bad),
        expected=read_scored(keys.expected, expected, bad),
        identity=identity.decode(errors="replace"),
        found_ms=_read_score(found),
        unreadable=tuple(bad),
    )


def announce_ticker(database: Database) -> None:
    """Have the other tickers look who is there, so that all agree at once which jobs belong to whom."""
    database.ask("PUBLISH", database.keys.wake, "ticker")


def forget_ticker(database: Database, ticker: str) -> None:
    """Remove a ticker that ends in order from the list of live ones, and tell the others, who take its jobs at once.

    Raises NotConnected or ServerRefused.
    """
    keys = database.keys
    database.ask_all([("ZREM", keys.tickers, ticker), ("DEL", keys.ticker(ticker)), ("PUBLISH", keys.wake, "ticker")])


def read_worker_beats(database: Database) -> dict[str, float]:
    """Read the last heartbeat (ms) of every worker that is on record."""
    flat = database.ask("ZRANGE", database.keys.workers, 0, -1, "WITHSCORES")
    return {name: float(beat) for name, beat in read_scored(database.keys.workers, flat, [])}


def register_silent_worker(database: Database, worker: str) -> None:
    """Put an unknown consumer on record as a worker that has been silent for ever, so that its work is taken over.

    NX: a worker that has sent a heartbeat meanwhile is alive, and must not be declared silent.
    """
    database.ask("ZADD", database.keys.workers, "NX", 0, worker)


def forget_worker(database: Database, worker: str, beat_ms: int, places: list[str]) -> Reply:
    """Remove a worker that has ended, unless an entry is still pending for it; a hundred streams in one call.

    Only the last call removes the records, so that a worker with work on any stream is not forgotten.
    """
    keys = database.keys
    parts = [places[at : at + STREAMS_PER_CALL] for at in range(0, len(places), STREAMS_PER_CALL)] or [[]]
    for left, part in zip(reversed(range(len(parts))), parts, strict=True):
        streams = (keys.stream(where) for where in part)
        reply = database.call(
            script("forget_worker")(
                (keys.workers, keys.worker(worker), keys.suspects, *streams), (worker, beat_ms, left)
            )
        )
        if reply.word != "FORGOTTEN":
            break
    return reply


def command_worker(keys: Keys, worker: str, command: str) -> ScriptCall:
    """Send a worker the command `quiet` or `stop`; the worker receives it with its next heartbeat."""
    return script("command_worker")((keys.worker(worker),), (command,))


def _read_score(score: bytes) -> int | None:
    return round(float(score)) if score else None
