"""Dead letters: runs that are out of attempts; list them, replay them as new runs, purge them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from jobistemer.core.reads.summaries import DeadRun
from jobistemer.core.runs.message import Message, decode_message, encode_message, read_message, read_unreadable
from jobistemer.core.runs.records import RunRecord
from jobistemer.core.unreadable import Unreadable, read_value, to_text
from jobistemer.store.calls.runs import MAX_UNIQUE_MS
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys, place
from jobistemer.store.reads.ended_runs import DEAD_PAGE, LocatedRun, locate_dead
from jobistemer.store.reads.records import read_run, run_command
from jobistemer.store.scripts import ScriptCall, script

PAGE = DEAD_PAGE


def list_dead(shards: Sequence[Database], offset: int = 0, limit: int = PAGE) -> list[DeadRun]:
    """Return a page of the dead letters, the latest first."""
    listed = locate_dead(shards, offset, limit)
    found = [dead for database, runs in zip(shards, listed, strict=True) for dead in _read_dead(database, runs)]
    return sorted(found, key=lambda dead: (dead.run.ended_at, dead.run.id), reverse=True)


def count_dead(shards: Sequence[Database]) -> int:
    """Return the number of dead letters."""
    return sum(database.read("ZCARD", database.keys.dead) for database in shards)


def drop_expired(database: Database, now_ms: int) -> int:
    """Remove the dead letters whose retention is over from the list. Returns their number."""
    removed: int = database.ask("ZREMRANGEBYSCORE", database.keys.dead, "-inf", now_ms)
    return removed


def iter_dead(database: Database) -> Iterator[DeadRun]:
    """Yield every dead letter of a shard that exists when its page is read, the oldest first.

    The members are listed beforehand, so that the caller may remove letters while it iterates.
    """
    members = [to_text(run) for run in database.read("ZRANGE", database.keys.dead, 0, -1)]
    yield from _read_dead(database, members)


def find_dead(database: Database, run_id: str) -> DeadRun | None:
    """Return one dead letter of a shard; None when the run never died, was replayed or purged, or has expired."""
    listed = database.ask("ZSCORE", database.keys.dead, run_id) is not None
    return next(_read_dead(database, [run_id]), None) if listed else None


def iter_messages(located: Iterable[LocatedRun]) -> Iterator[tuple[str, Message]]:
    """Yield runs with the messages they died with, in any order, a hundred in memory; those without one are left out.

    What can be read of a message that cannot be read as a whole is yielded.
    """
    runs_of: dict[Database, list[str]] = {}
    for each in located:
        runs_of.setdefault(each.database, []).append(each.run.id)
    for database, runs in runs_of.items():
        for start in range(0, len(runs), PAGE):
            part = runs[start : start + PAGE]
            answers = database.read_all([("HGET", database.keys.run(run), "message") for run in part])
            found = zip(part, answers, strict=True)
            yield from ((run, read_message(raw, run)) for run, raw in found if raw is not None)


def replay(keys: Keys, dead: DeadRun, run_id: str, now_ms: int, payload: msgspec.Raw | None = None) -> ScriptCall:
    """Build the call that gives the work of a dead run to a new run.

    run_id: the id of the new run, chosen by the caller, so that a second send is recognised. payload: the arguments of
    the new run, when they differ from those of the dead one.
    """
    message = build_replay(dead.message, run_id, now_ms)
    if payload is not None:
        message = msgspec.structs.replace(message, payload=payload)
    where = place(message.queue, message.priority)
    unique = (keys.unique(message.unique),) if message.unique else ()
    steps = (keys.steps(dead.run.id), keys.steps(run_id))
    return script("replay_dead")(
        (keys.dead, keys.run(dead.run.id), keys.run(run_id), keys.stream(where), keys.streams, *steps, *unique),
        (dead.run.id, run_id, message.handler, encode_message(message), where, MAX_UNIQUE_MS),
    )


def build_replay(message: Message, run_id: str, now_ms: int) -> Message:
    """Return the message of the new run. It names the run it replays, and belongs to no occurrence: that has ended."""
    origin = {"replay_of": message.run}
    if message.task_ref is not None:
        origin |= {"job": message.task_ref.job, "occurrence": message.task_ref.occurrence}
    return msgspec.structs.replace(
        message,
        run=run_id,
        enqueued_at=now_ms,
        task_ref=None,
        suspended=0,
        undoing=None,
        snoozes=0,
        metadata={**message.metadata, **origin},
    )


def purge_page(database: Database, runs: Sequence[str]) -> int:
    """Delete up to a hundred dead runs with their records. Returns how many of these runs were dead letters.

    They are counted before: the answer to a call that was sent twice cannot tell what the first send has deleted.
    Raises NotConnected or ServerRefused.
    """
    listed = database.read("ZMSCORE", database.keys.dead, *runs)
    left = frozenset(database.call(purge(database.keys, runs)).values)
    return sum(score is not None and position not in left for position, score in enumerate(listed, 1))


def purge(keys: Keys, runs: Sequence[str]) -> ScriptCall:
    """Build the call that deletes up to a hundred dead runs with their records."""
    chosen = tuple(runs[:PAGE])
    return script("purge_dead")((keys.dead, *(keys.run(run) for run in chosen)), chosen)


def _read_dead(database: Database, runs: Sequence[str]) -> Iterator[DeadRun]:
    for start in range(0, len(runs), PAGE):
        part = runs[start : start + PAGE]
        answers = database.read_all([run_command(database.keys, run) for run in part])
        yield from filter(None, map(_decode_dead, part, answers))


def _decode_dead(run_id: str, answer: dict[bytes, bytes]) -> DeadRun | None:
    record: RunRecord | None = read_run(run_id, answer)
    if record is None or b"message" not in answer:
        return None
    raw = answer[b"message"]
    message = read_value("", decode_message, raw)
    if isinstance(message, Unreadable):
        return DeadRun(record, read_unreadable(raw, run_id)[0], raw)
    return DeadRun(record, message)
