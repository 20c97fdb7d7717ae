"""The runs that have ended: the latest of each state, from the lists that the committing scripts keep; dead letters.

Of each run its summary is read: a payload or a result may have megabytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from jobistemer.core.reads.summaries import RunSummary
from jobistemer.core.runs.records import count_attempts
from jobistemer.core.states import RunState
from jobistemer.core.unreadable import to_text
from jobistemer.store.database import Database
from jobistemer.store.reading import read_number

ENDED_STATES: Final = tuple(
    map(str, (RunState.FAILED, RunState.DEAD, RunState.TIMED_OUT, RunState.CANCELED, RunState.SUCCEEDED))
)
"""The states in which runs are listed when they have ended."""
MAX_KEPT: Final = 1_000
"""How many runs each shard lists of each state."""
DEAD_PAGE: Final = 100
"""How many dead letters are listed unless told otherwise."""
_PER_TRIP: Final = 500
"""How many records are read in one round trip: an error has up to 4,000 characters."""
_FIELDS: Final = ("state", "handler", "place", "ended_at", "attempt", "error", "occurrence", "unbegun")


def list_ended_runs(
    shards: Sequence[Database],
    states: Iterable[str] = ENDED_STATES,
    *,
    queue: str = "",
    task: str = "",
    limit: int = MAX_KEPT,
) -> list[RunSummary]:
    """Return the runs that ended last in these states, the latest first; those whose records have expired are left out.

    queue: only runs of this queue. task: only tasks whose names contain this text, whatever its case.
    """
    count = MAX_KEPT if queue or task else min(limit, MAX_KEPT)
    found = [run for database in shards for run in _list_of_shard(database, tuple(states), count)]
    wanted = task.casefold()
    chosen = [run for run in found if queue in {"", run.queue} and wanted in run.task.casefold()]
    return sorted(chosen, key=lambda run: (run.at, run.id), reverse=True)[:limit]


class LocatedRun(NamedTuple):
    """The summary of a run with its shard, which its id does not say."""

    database: Database
    run: RunSummary


def list_dead_runs(shards: Sequence[Database], offset: int = 0, limit: int = DEAD_PAGE) -> list[RunSummary]:
    """Return a page of the dead letters, the latest first; those whose records have expired are left out."""
    return [each.run for each in locate_dead_runs(shards, offset, limit)]


def locate_dead_runs(shards: Sequence[Database], offset: int = 0, limit: int = DEAD_PAGE) -> list[LocatedRun]:
    """Return what `list_dead_runs` returns, each run with its shard."""
    listed = locate_dead(shards, offset, limit)
    found = [
        LocatedRun(database, run)
        for database, runs in zip(shards, listed, strict=True)
        for run in _read_summaries(database, runs)
        if run.state
    ]
    return sorted(found, key=lambda each: (each.run.at, each.run.id), reverse=True)


def locate_dead(shards: Sequence[Database], offset: int, limit: int) -> list[list[str]]:
    """Return the ids of a page of the dead letters, for each shard those on it, the latest first."""
    latest = [_list_latest_dead(each, offset + limit) for each in shards]
    listed = sorted(((at, run, where) for where, found in enumerate(latest) for at, run in found), reverse=True)
    chosen: list[list[str]] = [[] for _ in shards]
    for _, run, where in listed[offset : offset + limit]:
        chosen[where].append(run)
    return chosen


def _list_latest_dead(database: Database, limit: int) -> list[tuple[float, str]]:
    # Sorted by expiry: for runs with the same retention this is the order in which they died.
    flat = database.read("ZREVRANGE", database.keys.dead, 0, limit - 1, "WITHSCORES") if limit else []
    return [(float(at), to_text(run)) for run, at in zip(flat[::2], flat[1::2], strict=True)]


def _list_of_shard(database: Database, states: Sequence[str], count: int) -> list[RunSummary]:
    keys = database.keys
    lists = [*states, *(["canceled"] if "timed_out" in states and "canceled" not in states else [])]
    # A run that the deadline of its occurrence ends is listed as canceled: the script finds out that it has timed out.
    listed = database.read_all([("LRANGE", keys.ended(state), 0, count - 1) for state in lists])
    runs = list(dict.fromkeys(to_text(each) for answer in listed for each in answer))
    # The record says in which state a run is; what is listed without a record has expired.
    return [run for run in _read_summaries(database, runs) if run.state in states]


def _read_summaries(database: Database, runs: Sequence[str]) -> Iterator[RunSummary]:
    for start in range(0, len(runs), _PER_TRIP):
        part = runs[start : start + _PER_TRIP]
        answers = database.read_all([("HMGET", database.keys.run(run), *_FIELDS) for run in part])
        yield from map(_build, part, answers)


def _build(run: str, fields: list[Any]) -> RunSummary:
    ended_at, attempt, unbegun = fields.pop(3), fields.pop(3), fields.pop()
    state, handler, place, error, occurrence = (to_text(each or b"") for each in fields)
    return RunSummary(
        id=run,
        task=handler,
        queue=place.rpartition(":")[0],
        state=state,
        at=read_number(ended_at),
        attempt=read_number(attempt),
        note=error,
        occurrence=occurrence,
        attempts=count_attempts(state, read_number(attempt), read_number(unbegun)),
    )
