"""Heartbeats of tickers and workers: the calls by which they report, and the work and requests that come back."""

from __future__ import annotations

from typing import NamedTuple

from jobistemer.store.database import Database
from jobistemer.store.keys import Keys
from jobistemer.store.scripts import Reply, ScriptCall, script

STREAMS_PER_CALL = 100
"""How many streams one call of `forget_worker` checks."""


class BeatReply(NamedTuple):
    """The answer to a worker's heartbeat: silent workers, runs to cancel, places, holds, and a command from people."""

    suspects: dict[str, int]
    cancels: list[str]
    places: list[str]
    paused: set[str]
    command: str
    server_ms: float
    holds: frozenset[str]


class Agenda(NamedTuple):
    """The work of a ticker: due jobs, delayed runs and deadlines with their times in ms, and queues that can move on.

    tickers: the live ones, in an order that is the same for all of them. expected: jobs by the ms by which they have to
    complete.
    """

    due: dict[str, int]
    delayed: list[tuple[str, int]]
    starts: list[str]
    tickers: list[str]
    deadlines: list[tuple[str, int]]
    expected: list[tuple[str, int]]


def beat_worker(keys: Keys, worker: str, now_ms: int, lease_ms: int, since_ms: int, status: bytes) -> ScriptCall:
    """Report that a worker is alive."""
    return script("beat_worker")(
        (keys.workers, keys.worker(worker), keys.cancels, keys.streams, keys.paused, keys.holds),
        (worker, now_ms, lease_ms, since_ms, status),
    )


def read_beat_reply(reply: Reply) -> BeatReply:
    """Read the answer to a worker's heartbeat."""
    suspects, cancels, places, paused, command, (seconds, micros), holds = reply.values
    return BeatReply(
        suspects={name: round(float(beat)) for name, beat in _pairs(suspects)},
        cancels=[run.decode() for run in cancels],
        places=sorted(name.decode() for name in places),
        paused={name.decode() for name in paused},
        command=command.decode(),
        server_ms=int(seconds) * 1000 + int(micros) / 1000,
        holds=frozenset(name.decode() for name in holds),
    )


def beat_ticker(keys: Keys, ticker: str, now_ms: int, status: bytes, horizon_ms: int, limit: int) -> ScriptCall:
    """Report that a ticker is alive, and ask for the agenda up to `horizon_ms`, with at most `limit` due jobs."""
    return script("beat_ticker")(
        (keys.tickers, keys.ticker(ticker), keys.due, keys.delayed, keys.starts, keys.deadlines, keys.expected),
        (ticker, now_ms, status, horizon_ms, limit),
    )


def read_agenda(reply: Reply) -> Agenda:
    """Read the answer to a ticker's heartbeat."""
    due, delayed, starts, tickers, deadlines, expected = reply.values
    return Agenda(
        due={name: round(float(at)) for name, at in _pairs(due)},
        delayed=[(name, round(float(at))) for name, at in _pairs(delayed)],
        starts=[job.decode() for job in starts],
        tickers=sorted(ticker.decode() for ticker in tickers),
        deadlines=[(name, round(float(at))) for name, at in _pairs(deadlines)],
        expected=[(name, round(float(at))) for name, at in _pairs(expected)],
    )


def forget_ticker(database: Database, ticker: str) -> None:
    """Remove a ticker that ends in order from the list of live ones. Raises NotConnected or ServerRefused."""
    keys = database.keys
    database.ask_all([("ZREM", keys.tickers, ticker), ("DEL", keys.ticker(ticker))])


def read_worker_beats(database: Database) -> dict[str, float]:
    """Read the last heartbeat (ms) of every worker that is on record."""
    flat = database.ask("ZRANGE", database.keys.workers, 0, -1, "WITHSCORES")
    return {name: float(beat) for name, beat in _pairs(flat)}


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
            script("forget_worker")((keys.workers, keys.worker(worker), *streams), (worker, beat_ms, left))
        )
        if reply.word != "FORGOTTEN":
            break
    return reply


def command_worker(keys: Keys, worker: str, command: str) -> ScriptCall:
    """Send a worker the command `quiet` or `stop`; the worker receives it with its next heartbeat."""
    return script("command_worker")((keys.worker(worker),), (command,))


def _pairs(flat: list[bytes]) -> list[tuple[str, bytes]]:
    return [(name.decode(), value) for name, value in zip(flat[::2], flat[1::2], strict=True)]
